"""What each caller is served: the ledger feed, watching over SSE and WebSocket, long polls."""
