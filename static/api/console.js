// The console of /graphql: GraphiQL with the session of whoever is logged in.
import { createClient, createElement, createRoot, GraphiQL, parse } from "../vendor/graphiql/graphiql.js";

const root = document.getElementById("console");
const { url, csrf } = root.dataset;
const socket = new URL(root.dataset.socket, location.href);
socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const client = createClient({ url: socket.href, lazy: true, retryAttempts: 0 });

const WELCOME = `# What you may see and change, as one graph. Ctrl-Space completes, Ctrl-Enter runs.
{
  services(first: 20) {
    edges { node { slug configurations { edges { node { environment { slug } live { version } } } } } }
  }
}
`;

async function post(asked) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
    body: JSON.stringify(asked),
  });
  if (answer.status === 401) location.reload(); // the login has ended: this leads to the page for it
  return answer.json(); // a problem is shown as it is
}

function isSubscription({ query, operationName }) {
  let document;
  try {
    document = parse(query);
  } catch {
    return false; // the server says what is wrong, and where
  }
  const operations = document.definitions.filter((each) => each.kind === "OperationDefinition");
  const named = operations.filter((each) => !operationName || each.name?.value === operationName);
  return named.some((each) => each.operation === "subscription");
}

function fetcher({ query, variables, operationName }) {
  const asked = { query, variables: variables ?? {}, operationName: operationName || undefined };
  return isSubscription(asked) ? client.iterate(asked) : post(asked);
}

// The portal's choice of light or dark holds here too.
function theme() {
  try {
    const chosen = JSON.parse(localStorage.getItem("adminTheme") ?? '"auto"');
    return ["light", "dark"].includes(chosen) ? chosen : "system";
  } catch {
    return "system";
  }
}

createRoot(root).render(
  createElement(GraphiQL, {
    fetcher,
    defaultQuery: WELCOME,
    forcedTheme: theme(),
    isHeadersEditorEnabled: false,
    storage: sessionStorage, // what is typed may be a secret: it ends with the tab
    defaultEditorToolsVisibility: "variables",
  }),
);
