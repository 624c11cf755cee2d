import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.*;

/** DynamoDB with the AWS SDK for Java: a table, its items, a query in pages, what is refused. */
public class Tables {
    /** Arguments: the endpoint, the table to make. */
    public static void main(String[] arguments) {
        DynamoDbClient dynamodb = Clients.of(DynamoDbClient.builder(), URI.create(arguments[0])).build();
        String table = arguments[1];
        dynamodb.createTable(request -> request.tableName(table).billingMode(BillingMode.PAY_PER_REQUEST)
                .keySchema(key("user", KeyType.HASH), key("at", KeyType.RANGE))
                .attributeDefinitions(attribute("user", ScalarAttributeType.S), attribute("at", ScalarAttributeType.N)));
        dynamodb.waiter().waitUntilTableExists(request -> request.tableName(table));
        Map<String, List<WriteRequest>> writes = Map.of(table, IntStream.range(0, 25).mapToObj(at -> WriteRequest.builder()
                .putRequest(put -> put.item(item(at))).build()).collect(Collectors.toList()));
        Check.that(dynamodb.batchWriteItem(request -> request.requestItems(writes)).unprocessedItems().isEmpty(), table);
        var pages = dynamodb.queryPaginator(request -> request.tableName(table).limit(4).scanIndexForward(false)
                .keyConditionExpression("#user = :user AND #at >= :from").expressionAttributeNames(Map.of("#user", "user", "#at", "at"))
                .expressionAttributeValues(Map.of(":user", AttributeValue.fromS("ann"), ":from", AttributeValue.fromN("15"))));
        Check.equal(IntStream.range(0, 10).mapToObj(back -> "" + (24 - back)).collect(Collectors.toList()),
                pages.items().stream().map(item -> item.get("at").n()).collect(Collectors.toList()));
        Check.equal(item(7), dynamodb.getItem(request -> request.tableName(table).key(at(7))).item());
        ConditionalCheckFailedException refused = Check.fails(ConditionalCheckFailedException.class, () -> dynamodb.putItem(
                request -> request.tableName(table).item(item(7)).conditionExpression("attribute_not_exists(#user)")
                        .expressionAttributeNames(Map.of("#user", "user"))
                        .returnValuesOnConditionCheckFailure(ReturnValuesOnConditionCheckFailure.ALL_OLD)));
        Check.equal(item(7), refused.item());
        TransactionCanceledException cancelled = Check.fails(TransactionCanceledException.class, () -> dynamodb.transactWriteItems(
                request -> request.transactItems(
                        TransactWriteItem.builder().put(put -> put.tableName(table).item(item(99))).build(),
                        TransactWriteItem.builder().conditionCheck(check -> check.tableName(table).key(at(98))
                                .conditionExpression("attribute_exists(n)")).build())));
        Check.equal(List.of("None", "ConditionalCheckFailed"),
                cancelled.cancellationReasons().stream().map(CancellationReason::code).collect(Collectors.toList()));
        Check.that(!dynamodb.getItem(request -> request.tableName(table).key(at(99))).hasItem(), "what was cancelled");
        dynamodb.deleteTable(request -> request.tableName(table));
        dynamodb.waiter().waitUntilTableNotExists(request -> request.tableName(table));
        Check.fails(ResourceNotFoundException.class, () -> dynamodb.getItem(request -> request.tableName(table).key(at(7))));
    }

    private static KeySchemaElement key(String name, KeyType type) {
        return KeySchemaElement.builder().attributeName(name).keyType(type).build();
    }

    private static AttributeDefinition attribute(String name, ScalarAttributeType type) {
        return AttributeDefinition.builder().attributeName(name).attributeType(type).build();
    }

    private static Map<String, AttributeValue> at(int at) {
        return Map.of("user", AttributeValue.fromS("ann"), "at", AttributeValue.fromN("" + at));
    }

    private static Map<String, AttributeValue> item(int at) {
        return Map.of("user", AttributeValue.fromS("ann"), "at", AttributeValue.fromN("" + at), "text", AttributeValue.fromS("žluť"),
                "tags", AttributeValue.fromL(List.of(AttributeValue.fromBool(true), AttributeValue.fromNul(true))));
    }
}
