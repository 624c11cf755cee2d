// Decodes a batch of the stream and hands it, as items, to the function that saves them.
const AWS = require('aws-sdk');

const lambda = new AWS.Lambda();

function item(record) {
  const tweet = JSON.parse(Buffer.from(record.kinesis.data, 'base64').toString('utf8'));
  return { TwitterID: tweet.id, TwitterUser: tweet.username, TwitterTime: tweet.time, Tweet: tweet.text, TweetTopic: tweet.topic };
}

exports.handler = async (event) => {
  const Payload = JSON.stringify({ items: event.Records.map(item) });
  await lambda.invoke({ FunctionName: process.env.SAVE, InvocationType: 'Event', Payload }).promise();
};
