// Downloads a model with @huggingface/hub, and compares it with its source: MODULES REPO SOURCE.
// The endpoint is HF_ENDPOINT, which this client does not read by itself; the cache is in HF_HOME.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";

const [modules, repo, source] = process.argv.slice(2);
const hub = createRequire(join(modules, "from-here.js"))("@huggingface/hub");
const hubUrl = process.env.HF_ENDPOINT;
const at = { repo, hubUrl };
const WEIGHTS = "model.safetensors";

function filesOf(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name))).sort();
}

async function all(listing) {
  const found = [];
  for await (const entry of listing) found.push(entry);
  return found;
}

const files = filesOf(source);

// All files of the repo.
const snapshot = await hub.snapshotDownload({ ...at, cacheDir: join(process.env.HF_HOME, "hub") });
assert.deepEqual(filesOf(snapshot), files);
for (const file of files) {
  assert.ok(readFileSync(join(snapshot, file)).equals(readFileSync(join(source, file))), `${file} differs`);
}

const listed = await all(hub.listFiles({ ...at, recursive: true, expand: true }));
assert.deepEqual(listed.filter((entry) => entry.type === "file").map((entry) => entry.path).sort(), files);
assert.ok(listed.every((entry) => entry.lastCommit.id));

for (const file of ["1_Pooling/config.json", WEIGHTS]) {
  const blob = await hub.downloadFile({ ...at, path: file });
  assert.ok(Buffer.from(await blob.arrayBuffer()).equals(readFileSync(join(source, file))), `${file} differs`);
}
const weights = await hub.downloadFile({ ...at, path: WEIGHTS });
const part = Buffer.from(await weights.slice(262_000, 263_000).arrayBuffer());
assert.ok(part.equals(readFileSync(join(source, WEIGHTS)).subarray(262_000, 263_000)), "a part differs");

assert.equal(await hub.downloadFile({ ...at, path: "no/such.file" }), null);
assert.equal(await hub.fileExists({ ...at, path: "config.json" }), true);
assert.equal(await hub.fileExists({ ...at, path: "no/such.file" }), false);
assert.equal(await hub.repoExists(at), true);
assert.equal(await hub.repoExists({ repo: "nobody/nothing", hubUrl }), false);
await assert.rejects(hub.modelInfo({ name: "nobody/nothing", hubUrl }), { statusCode: 404 });

const info = await hub.modelInfo({ name: repo, hubUrl, additionalFields: ["sha", "tags"] });
assert.equal(info.name, repo);
assert.ok(snapshot.endsWith(info.sha) && info.tags.includes("sentence-transformers"));
const found = await all(hub.listModels({ search: { query: "minilm" }, hubUrl }));
assert.deepEqual(found.map((model) => model.name), [repo]);
const paths = await hub.pathsInfo({ ...at, paths: ["config.json", "1_Pooling", "no/such.file"] });
assert.deepEqual(paths.map((entry) => entry.type), ["file", "directory"]);
const commits = await all(hub.listCommits(at));
assert.deepEqual(commits.map((commit) => commit.oid), [info.sha]);
assert.equal(await hub.countCommits(at), 1);
const metadata = await hub.parseSafetensorsMetadata({ ...at, computeParametersCount: true });
assert.ok(Object.keys(metadata.header).includes("embeddings.LayerNorm.weight"));
