// Verify bundles with @sigstore/verify as it is. A question in JSON on stdin, a list of answers in JSON on stdout.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { bundleFromJSON } = require("@sigstore/bundle");
const { TrustedRoot } = require("@sigstore/protobuf-specs");
const { toSignedEntity, toTrustMaterial, Verifier } = require("@sigstore/verify");

const { bundles, root, keys, options, policy } = JSON.parse(readFileSync(0, "utf8"));
const found = Object.entries(keys).map(([hint, der]) => [hint, { rawBytes: Buffer.from(der, "base64") }]);
const verifier = new Verifier(toTrustMaterial(TrustedRoot.fromJSON(root), Object.fromEntries(found)), options);

const answers = bundles.map((text) => {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(text))), policy);
    return "verified";
  } catch (error) {
    return error.code ?? `${error.name}: ${error.message}`;
  }
});
console.log(JSON.stringify(answers));
