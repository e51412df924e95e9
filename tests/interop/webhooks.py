"""Signs and verifies webhooks with the packages their senders publish. Reads a JSON object a line, writes one a line:
{"do": "verify", ...} becomes {"accepted": true}, {"do": "sign", ...} becomes {"headers": {...}}. An error of any other kind ends the script."""

import json
import sys
from datetime import datetime, timezone

import slack_sdk.signature
import standardwebhooks
import stripe
import svix.webhooks
import twilio.request_validator
from standardwebhooks.webhooks import WebhookVerificationError
from svix.webhooks import WebhookVerificationError as SvixError


class Form(dict):
    """A form as web frameworks hand it to Twilio's validator: each name with all its values."""

    def getlist(self, name):
        return self[name]


def verify(case):
    scheme, secret, headers, body = case["scheme"], case["secret"], case["headers"], case["body"]
    try:
        if scheme == "standard-webhooks":
            standardwebhooks.Webhook(secret).verify(body, headers)
        elif scheme == "svix":
            svix.webhooks.Webhook(secret).verify(body, headers)
        elif scheme == "stripe":
            stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret, tolerance=300)
        elif scheme == "slack":
            return slack_sdk.signature.SignatureVerifier(secret).is_valid_request(body, headers)
        elif scheme == "twilio":
            validator = twilio.request_validator.RequestValidator(secret)
            return validator.validate(case["url"], Form(case["form"]) if case.get("form") else body, headers["x-twilio-signature"])
        else:
            raise SystemExit(f"unknown scheme {scheme}")
    except (WebhookVerificationError, SvixError, stripe.SignatureVerificationError):
        return False
    return True


def sign(case):
    scheme, secret, body, now, id = case["scheme"], case["secret"], case["body"], case["now"], case["id"]
    at = datetime.fromtimestamp(now, timezone.utc)
    if scheme == "standard-webhooks":
        value = standardwebhooks.Webhook(secret).sign(id, at, body)
        return {"webhook-id": id, "webhook-timestamp": str(now), "webhook-signature": value}
    if scheme == "svix":
        value = svix.webhooks.Webhook(secret).sign(id, at, body)
        return {"svix-id": id, "svix-timestamp": str(now), "svix-signature": value}
    if scheme == "stripe":
        value = stripe.WebhookSignature._compute_signature(f"{now}.{body}", secret)
        return {"stripe-signature": f"t={now},v1={value}"}
    if scheme == "slack":
        value = slack_sdk.signature.SignatureVerifier(secret).generate_signature(timestamp=str(now), body=body)
        return {"x-slack-request-timestamp": str(now), "x-slack-signature": value}
    if scheme == "twilio":
        value = twilio.request_validator.RequestValidator(secret).compute_signature(case["url"], Form(case["form"]))
        return {"x-twilio-signature": value}
    raise SystemExit(f"unknown scheme {scheme}")


for line in sys.stdin:
    case = json.loads(line)
    answer = {"accepted": verify(case)} if case["do"] == "verify" else {"headers": sign(case)}
    print(json.dumps(answer), flush=True)
