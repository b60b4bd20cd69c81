// A peer: the same work as its users would write it, as a function for API Gateway.

import { tencentChat } from "./callback.mjs";

export const handler = async (event) => {
  const { status, body } = await tencentChat(new URLSearchParams(event.rawQueryString), event.body);
  return { statusCode: status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
};
