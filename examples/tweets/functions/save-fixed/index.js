// Writes items 25 a call, and again those that the table had no capacity for.
const AWS = require('aws-sdk');

const ITEMS_A_CALL = 25;
const PAUSE_MS = 100;
const documents = new AWS.DynamoDB.DocumentClient();

async function write(puts) {
  let left = { [process.env.TABLE]: puts };
  while (Object.keys(left).length > 0) {
    const answer = await documents.batchWrite({ RequestItems: left }).promise();
    left = answer.UnprocessedItems ?? {};
    if (Object.keys(left).length > 0) await new Promise((wake) => setTimeout(wake, PAUSE_MS));
  }
}

exports.handler = async ({ items }) => {
  const puts = items.map((Item) => ({ PutRequest: { Item } }));
  for (let at = 0; at < puts.length; at += ITEMS_A_CALL) await write(puts.slice(at, at + ITEMS_A_CALL));
};
