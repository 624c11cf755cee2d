// Puts the body of a request, one trade, into the delivery stream.
const { FirehoseClient, PutRecordCommand } = require("@aws-sdk/client-firehose");

const firehose = new FirehoseClient({});

exports.handler = async (event) => {
  const answer = await firehose.send(new PutRecordCommand({
    DeliveryStreamName: process.env.DELIVERY_STREAM,
    Record: { Data: Buffer.from(JSON.stringify(event) + "\n") },
  }));
  return { recordId: answer.RecordId };
};
