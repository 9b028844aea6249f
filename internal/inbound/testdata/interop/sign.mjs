// Prints requests that others' code has signed, as a list in JSON.
import { createHash, createHmac } from "node:crypto";
import { Webhooks } from "@octokit/webhooks";
import bolt from "@slack/bolt";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import twilio from "twilio";

const body = JSON.stringify({ id: "evt_1", type: "thing.happened", name: "Zoë 🦊", html: "<b>&amp;</b>" });
const now = new Date();
const seconds = Math.floor(now / 1000);
const secret = "a shared secret";
const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const url = "https://hooks.example/in/pdi_default_X?shop=1";
const form = { To: "+15551234567", Body: "Zoë & 🦊 = 'x'", MediaUrl: ["b", "a", "b"], Empty: "" };
const json = { "content-type": "application/json" };
const requests = [];
const add = (name, preset, secret, headers, extra = {}) =>
  requests.push({ name, preset, secret, headers, body, url, ...extra });

add("@octokit/webhooks", "github", secret, {
  ...json, "x-hub-signature-256": await new Webhooks({ secret }).sign(body),
});

add("stripe", "stripe", secret, {
  ...json, "stripe-signature": Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: seconds }),
});

// Bolt verifies and does not sign: what it takes is ours to take.
const slack = {
  ...json, "x-slack-request-timestamp": String(seconds),
  "x-slack-signature": "v0=" + createHmac("sha256", secret).update(`v0:${seconds}:${body}`).digest("hex"),
};
bolt.verifySlackRequest({
  signingSecret: secret, body,
  headers: { "x-slack-request-timestamp": seconds, "x-slack-signature": slack["x-slack-signature"] },
});
add("@slack/bolt", "slack", secret, slack);

add("svix", "standard_webhooks", whsec, {
  ...json, "svix-id": "msg_1", "svix-timestamp": String(seconds),
  "svix-signature": new SvixWebhook(whsec).sign("msg_1", now, body),
});

add("standardwebhooks", "standard_webhooks", whsec, {
  ...json, "webhook-id": "msg_1", "webhook-timestamp": String(seconds),
  "webhook-signature": new StandardWebhook(whsec).sign("msg_1", now, body),
});

const encoded = new URLSearchParams();
for (const [name, values] of Object.entries(form)) {
  for (const value of [values].flat()) encoded.append(name, value);
}
for (const algorithm of ["HMAC_SHA1", "HMAC_SHA256"]) {
  add(`twilio, a form, ${algorithm}`, "twilio", secret, {
    "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
    "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, url, form, algorithm),
  }, { body: encoded.toString() });
}
const withHash = url + "&bodySHA256=" + createHash("sha256").update(body).digest("hex");
add("twilio, JSON", "twilio", secret, {
  ...json, "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, withHash, {}),
}, { url: withHash });
if (!twilio.validateRequestWithBody(secret, requests.at(-1).headers["x-twilio-signature"], withHash, body)) {
  throw new Error("twilio does not take it itself");
}

console.log(JSON.stringify(requests));
