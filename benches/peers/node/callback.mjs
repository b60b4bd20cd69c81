// What the peers in Node have in common: verify, decode, put conditionally, and say what to answer, for Node 20 with the AWS
// SDK v3.

import { createHash, timingSafeEqual } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb";

const { TENCENT_CALLBACK_TOKENS: token, TENCENT_SDK_APP_ID: appId, TABLE_NAME: table } = process.env;
const basic = `Basic ${Buffer.from(process.env.OPENIM_CREDENTIALS ?? "").toString("base64")}`;
// Keeps its connections alive, as the SDK does by default.
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const equal = (given, right) => {
  const [a, b] = [given ?? "", right].map((text) => Buffer.from(text));
  return a.length === b.length && timingSafeEqual(a, b);
};

// A second delivery of the same callback changes nothing, and is success.
const put = async (Item) => {
  try {
    await client.send(
      new PutCommand({ TableName: table, Item, ConditionExpression: "attribute_not_exists(group_key)" }),
    );
  } catch (error) {
    if (error.name !== "ConditionalCheckFailedException") throw error;
  }
};

const tencentAnswer = (status, info = "", code = 0) => ({
  status,
  body: { ActionStatus: code ? "FAIL" : "OK", ErrorInfo: info, ErrorCode: code },
});

export const tencentChat = async (query, text) => {
  const requested = query.get("RequestTime");
  if (query.get("SdkAppid") !== appId || Math.abs(Date.now() / 1000 - Number(requested)) > 60) {
    return tencentAnswer(403, "stale, or another app's", 1);
  }
  if (!equal(query.get("Sign"), sha256(token + requested))) {
    return tencentAnswer(403, "wrong Sign", 1);
  }
  const body = JSON.parse(text);
  const digest = sha256(text);
  await put({
    group_key: `tencent-chat#${appId}#${body.GroupId}`,
    change_key: `${body.EventTime}#${digest.slice(0, 16)}`,
    command: body.CallbackCommand,
    operator: body.Operator_Account,
    name: body.Name,
    members: body.MemberList.map((member) => member.Member_Account),
    digest,
    raw: text,
  });
  return tencentAnswer(200);
};

const openimAnswer = (status, message = "Success", code = 0) => ({
  status,
  body: { actionCode: code ? 1 : 0, errCode: code, errMsg: message, errDlt: "", nextCode: 0 },
});

export const openim = async (authorization, text) => {
  if (!equal(authorization, basic)) {
    return openimAnswer(401, "wrong credentials", 1);
  }
  const body = JSON.parse(text);
  const digest = sha256(text);
  await put({
    group_key: `openim#openim#${body.groupID}`,
    change_key: `${Date.now()}#${digest.slice(0, 16)}`,
    command: body.callbackCommand,
    name: body.groupName,
    digest,
    raw: text,
  });
  return openimAnswer(200);
};
