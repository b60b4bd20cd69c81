// A peer: the same work as its users would write it, for Node 20 with the AWS SDK v3.

import { createHash, timingSafeEqual } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb";

const { TENCENT_CALLBACK_TOKENS: token, TENCENT_SDK_APP_ID: appId, TABLE_NAME: table } = process.env;
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const answer = (statusCode, info = "", code = 0) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ ActionStatus: code ? "FAIL" : "OK", ErrorInfo: info, ErrorCode: code }),
});

export const handler = async (event) => {
  const query = new URLSearchParams(event.rawQueryString);
  const requested = query.get("RequestTime");
  if (query.get("SdkAppid") !== appId || Math.abs(Date.now() / 1000 - Number(requested)) > 60) {
    return answer(403, "stale, or another app's", 1);
  }
  const [given, right] = [query.get("Sign"), sha256(token + requested)].map((sign) => Buffer.from(sign));
  if (given.length !== right.length || !timingSafeEqual(given, right)) {
    return answer(403, "wrong Sign", 1);
  }
  const body = JSON.parse(event.body);
  const digest = sha256(event.body);
  try {
    await client.send(
      new PutCommand({
        TableName: table,
        Item: {
          group_key: `tencent-chat#${appId}#${body.GroupId}`,
          change_key: `${body.EventTime}#${digest.slice(0, 16)}`,
          command: body.CallbackCommand,
          operator: body.Operator_Account,
          name: body.Name,
          members: body.MemberList.map((member) => member.Member_Account),
          digest,
          raw: event.body,
        },
        ConditionExpression: "attribute_not_exists(group_key)",
      }),
    );
  } catch (error) {
    if (error.name !== "ConditionalCheckFailedException") throw error;
  }
  return answer(200);
};
