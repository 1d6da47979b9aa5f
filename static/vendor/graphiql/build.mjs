// Makes graphiql.js, graphiql.css and LICENSES of the packages that package.json pins.
import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const { metafile } = await build({
  entryPoints: ["entry.js"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  metafile: true,
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  outfile: "graphiql.js",
});

// Its fonts are data: addresses, which the content security policy refuses; the page names others.
const css = readFileSync("node_modules/graphiql/dist/style.css", "utf8");
writeFileSync("graphiql.css", css.replace(/@font-face\s*\{[^}]*\}/g, ""));

const inside = /node_modules\/((?:@[^/]+\/)?[^/]+)\//;
const names = new Set(Object.keys(metafile.inputs).map((path) => inside.exec(path)?.[1]));
names.delete(undefined);
const told = [...names].sort().map((name) => {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : "(the package has no text of it)";
  return `${name} ${version} (${license})\n\n${text}\n`;
});
writeFileSync("LICENSES", told.join(`\n${"-".repeat(78)}\n\n`));
