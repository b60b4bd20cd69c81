"""A peer: the same work as its users would write it, in Python with boto3."""

import hashlib
import hmac
import json
import os
import time
from urllib.parse import parse_qs

import boto3
from botocore.exceptions import ClientError

TOKEN = os.environ["TENCENT_CALLBACK_TOKENS"]
APP_ID = os.environ["TENCENT_SDK_APP_ID"]
TABLE = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def answer(status, info="", code=0):
    body = {"ActionStatus": "FAIL" if code else "OK", "ErrorInfo": info, "ErrorCode": code}
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def handler(event, context):
    query = parse_qs(event["rawQueryString"])
    requested = query["RequestTime"][0]
    sign = hashlib.sha256((TOKEN + requested).encode()).hexdigest()
    if query["SdkAppid"] != [APP_ID] or abs(time.time() - int(requested)) > 60:
        return answer(403, "stale, or another app's", 1)
    if not hmac.compare_digest(query["Sign"][0], sign):
        return answer(403, "wrong Sign", 1)
    raw = event["body"]
    body = json.loads(raw)
    digest = hashlib.sha256(raw.encode()).hexdigest()
    try:
        TABLE.put_item(
            Item={
                "group_key": f"tencent-chat#{APP_ID}#{body['GroupId']}",
                "change_key": f"{body['EventTime']}#{digest[:16]}",
                "command": body["CallbackCommand"],
                "operator": body["Operator_Account"],
                "name": body["Name"],
                "members": [member["Member_Account"] for member in body["MemberList"]],
                "digest": digest,
                "raw": raw,
            },
            ConditionExpression="attribute_not_exists(group_key)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
    return answer(200)
