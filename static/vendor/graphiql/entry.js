// What the console uses, and nothing else.
export { createElement } from "react";
export { createRoot } from "react-dom/client";
export { GraphiQL } from "graphiql";
export { createClient } from "graphql-ws";
export { parse } from "graphql";
