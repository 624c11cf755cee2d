// Writes all items in one call. The flaw: a call takes 25 items, a batch of the stream has up to 100.
const AWS = require('aws-sdk');

const documents = new AWS.DynamoDB.DocumentClient();

exports.handler = async ({ items }) => {
  const puts = items.map((Item) => ({ PutRequest: { Item } }));
  await documents.batchWrite({ RequestItems: { [process.env.TABLE]: puts } }).promise();
};
