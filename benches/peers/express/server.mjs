// A peer: the same work as its users would write it, as a server: Express in one process a core.

import cluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import express from "express";
import { openim, tencentChat } from "../node/callback.mjs";

const answer = (response, platform, command, start, { status, body }) => {
  response.status(status).json(body);
  const line = { timestamp: new Date().toISOString(), level: "INFO", message: "callback", platform, command, status };
  const duration_us = Math.round((performance.now() - start) * 1000);
  console.log(JSON.stringify({ ...line, duration_us, request_id: randomUUID() }));
};

const serve = () => {
  const app = express();
  app.use(express.text({ type: () => true, limit: "1mb" }));
  app.get("/readyz", (_, response) => response.send("ready\n"));
  app.post("/tencent-chat", async (request, response) => {
    const start = performance.now();
    const query = new URL(request.originalUrl, "http://localhost").searchParams;
    const outcome = await tencentChat(query, request.body);
    answer(response, "tencent-chat", query.get("CallbackCommand"), start, outcome);
  });
  app.post("/openim/:command", async (request, response) => {
    const start = performance.now();
    const outcome = await openim(request.get("authorization"), request.body);
    answer(response, "openim", request.params.command, start, outcome);
  });
  const server = app.listen(Number(process.env.PORT), process.env.HOST);
  // Senders keep their connections: a callback that is sent while Node closes one, after 5 s by default, would be lost.
  server.keepAliveTimeout = 60_000;
};

if (cluster.isPrimary) {
  for (let worker = 0; worker < availableParallelism(); worker++) cluster.fork();
} else {
  serve();
}
