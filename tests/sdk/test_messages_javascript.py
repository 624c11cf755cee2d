"""SNS and SQS through the JavaScript SDK that the documents' functions use (its second generation)."""

import json
import os
import subprocess

from conftest import NODE_MODULES, needs_javascript

SCRIPT = """
const AWS = require("aws-sdk");
const [endpoint] = process.argv.slice(2);
const settings = { endpoint, region: "us-east-1", credentials: new AWS.Credentials("test", "test"), maxRetries: 0 };
const sns = new AWS.SNS(settings), sqs = new AWS.SQS(settings);
(async () => {
  const { TopicArn } = await sns.createTopic({ Name: "javascript" }).promise();
  const { QueueUrl } = await sqs.createQueue({ QueueName: "javascript", Attributes: { VisibilityTimeout: "5" } }).promise();
  const { Attributes } = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ["QueueArn"] }).promise();
  const statement = { Effect: "Allow", Principal: { Service: "sns.amazonaws.com" }, Action: "sqs:SendMessage",
    Resource: Attributes.QueueArn, Condition: { ArnEquals: { "aws:SourceArn": TopicArn } } };
  await sqs.setQueueAttributes({ QueueUrl, Attributes: {
    Policy: JSON.stringify({ Version: "2012-10-17", Statement: [statement] }) } }).promise();
  await sns.subscribe({ TopicArn, Protocol: "sqs", Endpoint: Attributes.QueueArn, Attributes: {
    FilterPolicy: JSON.stringify({ kind: ["sale"] }) } }).promise();
  const attributes = kind => ({ kind: { DataType: "String", StringValue: kind } });
  await sns.publish({ TopicArn, Message: "unwanted", MessageAttributes: attributes("other") }).promise();
  const { MessageId } = await sns.publish({ TopicArn, Message: "wanted", Subject: "S", MessageAttributes: attributes("sale") }).promise();
  const got = await sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 20, AttributeNames: ["All"] }).promise();
  const message = got.Messages[0], document = JSON.parse(message.Body);
  await sqs.deleteMessage({ QueueUrl, ReceiptHandle: message.ReceiptHandle }).promise();
  const batch = await sqs.sendMessageBatch({ QueueUrl, Entries: [
    { Id: "a", MessageBody: "1" }, { Id: "b", MessageBody: "2", DelaySeconds: 901 } ] }).promise();
  const missing = await sqs.getQueueUrl({ QueueName: "none" }).promise().catch(error => error.code);
  const topic = await sns.getTopicAttributes({ TopicArn: TopicArn + "-none" }).promise().catch(error => error.code);
  console.log(JSON.stringify({ same: document.MessageId === MessageId, text: document.Message, subject: document.Subject,
    receives: message.Attributes.ApproximateReceiveCount, sent: batch.Successful.length, failed: batch.Failed[0].Id, missing, topic }));
})().catch(error => { console.error(error); process.exit(1); });
"""


@needs_javascript("aws-sdk")
def test_the_javascript_sdk_publishes_and_receives(server, tmp_path):
    file = tmp_path / "script.cjs"
    file.write_text(SCRIPT)
    done = subprocess.run(["node", str(file), server.endpoint], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NODE_PATH": str(NODE_MODULES), "AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE": "1"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "same": True, "text": "wanted", "subject": "S", "receives": "1", "sent": 1, "failed": "b",
        "missing": "AWS.SimpleQueueService.NonExistentQueue", "topic": "NotFound"}
