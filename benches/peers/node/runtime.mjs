// Lambda's Node runtime, in as little as does its work: takes events from the Runtime API and posts the answers. Amazon's own
// does more, so this flatters the peer.

import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");

const call = (method, path, body) =>
  new Promise((resolve, reject) => {
    const sent = request({ agent, host, port, method, path: `/2018-06-01/runtime/${path}` }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    sent.on("error", reject);
    sent.end(body);
  });

const { handler } = await import("./function.mjs");
for (;;) {
  const { headers, body } = await call("GET", "invocation/next");
  const answer = await handler(JSON.parse(body));
  await call("POST", `invocation/${headers["lambda-runtime-aws-request-id"]}/response`, JSON.stringify(answer));
}
