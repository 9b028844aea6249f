// Receives what Postdate sends by what others wrote for receivers, one of them
// at each path. Answers 200 and what they understood as JSON, or 400 and why not.
// Prints its port, and ends with its standard input.
import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import { HTTP } from "cloudevents";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const { SECRET, PUBLIC_KEY } = process.env;

const receivers = {
  "/standardwebhooks": (headers, body) => new StandardWebhook(SECRET).verify(body, headers),
  "/svix": (headers, body) => new SvixWebhook(SECRET).verify(body, headers),
  "/openssl": verifyEd25519,
  "/cloudevents": (headers, body) => {
    new StandardWebhook(SECRET).verify(body, headers);
    return HTTP.toEvent({ headers, body: body || undefined });
  },
};

// No package of npm knows v1a, so this is the specification and OpenSSL.
function verifyEd25519(headers, body) {
  const x = Buffer.from(PUBLIC_KEY.replace("whpk_", ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  for (const one of headers["webhook-signature"].split(" ")) {
    const [version, encoded] = one.split(",");
    if (version === "v1a" && verify(null, signed, key, Buffer.from(encoded, "base64"))) {
      return JSON.parse(body);
    }
  }
  throw new Error("no v1a signature matches");
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    const understood = receivers[request.url](request.headers, Buffer.concat(chunks).toString());
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(understood));
  } catch (error) {
    response.writeHead(400, { "content-type": "text/plain" }).end(String(error));
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
