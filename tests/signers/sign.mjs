// The same as sign.py for senders whose library is JavaScript, and a second opinion on Standard Webhooks. ./test puts it
// beside the libraries that it installs.
import { createInterface } from "node:readline";

const senders = {
  github: async (task) => {
    const { sign, verify } = await import("@octokit/webhooks-methods");
    if (task.do === "sign") {
      return {
        headers: {
          "x-github-event": "issues",
          "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
          "x-hub-signature-256": await sign(task.secret, task.body),
        },
      };
    }
    return { ok: await verify(task.secret, task.body, task.headers["x-hub-signature-256"]) };
  },
  retell: async (task) => {
    const { default: library } = await import("retell-sdk/lib/webhook_auth.js");
    if (task.do === "sign") {
      const signature = await library.symmetric.sign(task.body, task.secret, task.now * 1000);
      return { headers: { "x-retell-signature": signature } };
    }
    const signature = task.headers["x-retell-signature"];
    return { ok: await library.verify(task.body, task.secret, signature) };
  },
  shopify: async (task) => {
    await import("@shopify/shopify-api/adapters/node");
    const { createSHA256HMAC } = await import("@shopify/shopify-api/runtime");
    const signature = await createSHA256HMAC(task.secret, task.body);
    if (task.do === "sign") {
      return { headers: { "x-shopify-topic": "orders/paid", "x-shopify-hmac-sha256": signature } };
    }
    return { ok: task.headers["x-shopify-hmac-sha256"] === signature };
  },
  "standard-webhooks": async (task) => {
    const { Webhook } = await import("standardwebhooks");
    const webhook = new Webhook(task.secret);
    if (task.do === "sign") {
      const signature = webhook.sign("msg_official", new Date(task.now * 1000), task.body);
      return {
        headers: {
          "webhook-id": "msg_official",
          "webhook-timestamp": String(task.now),
          "webhook-signature": signature,
        },
      };
    }
    try {
      webhook.verify(task.body, task.headers);
      return { ok: true };
    } catch {
      return { ok: false };
    }
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  console.log(JSON.stringify(await senders[task.source](task)));
}
