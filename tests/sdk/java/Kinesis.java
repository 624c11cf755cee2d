import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.services.kinesis.model.Record;

/** Kinesis with the AWS SDK for Java: CBOR over HTTP/1.1 and, by the asynchronous client, over HTTP/2. */
public class Kinesis {
    private static final String SHARD = "shardId-000000000000";

    private final KinesisClient kinesis;
    private final String stream;

    private Kinesis(URI endpoint, String stream) {
        this.kinesis = Clients.of(KinesisClient.builder(), endpoint)
                .overrideConfiguration(settings -> settings.addExecutionInterceptor(new OnlyCbor())).build();
        this.stream = stream;
    }

    /** Arguments: what to do (`records`, `positions`, `errors` or `pushed`), the endpoint, the stream to make. */
    public static void main(String[] arguments) throws Exception {
        URI endpoint = URI.create(arguments[1]);
        Kinesis test = new Kinesis(endpoint, arguments[2]);
        switch (arguments[0]) {
            case "records" -> test.records();
            case "positions" -> test.positions();
            case "errors" -> test.errors();
            case "pushed" -> test.pushed(endpoint);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** Every request and every answer with a body is CBOR; else these tests would prove something else. */
    private static class OnlyCbor implements ExecutionInterceptor {
        public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
            Check.equal("application/x-amz-cbor-1.1", context.httpRequest().firstMatchingHeader("Content-Type").orElse(null));
        }

        public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
            Check.equal("application/x-amz-cbor-1.1",
                    context.httpResponse().firstMatchingHeader("Content-Type").orElse("application/x-amz-cbor-1.1"));
        }
    }

    private void create(int shards) {
        kinesis.createStream(request -> request.streamName(stream).shardCount(shards));
        kinesis.waiter().waitUntilStreamExists(request -> request.streamName(stream));
    }

    private PutRecordResponse put(String key, String data) {
        return kinesis.putRecord(request -> request.streamName(stream).partitionKey(key).data(SdkBytes.fromUtf8String(data)));
    }

    private void records() {
        create(2);
        StreamDescriptionSummary summary = kinesis.describeStreamSummary(request -> request.streamName(stream)).streamDescriptionSummary();
        Check.equal(StreamStatus.ACTIVE, summary.streamStatus());
        Check.equal(2, summary.openShardCount());
        Check.that(Duration.between(summary.streamCreationTimestamp(), Instant.now()).abs().toMinutes() < 5, summary);
        byte[] everyByte = new byte[256];
        IntStream.range(0, everyByte.length).forEach(index -> everyByte[index] = (byte) index);
        // A hash key as large as there is, which no JSON number holds.
        PutRecordResponse one = kinesis.putRecord(request -> request.streamName(stream).partitionKey("žluť")
                .explicitHashKey("340282366920938463463374607431768211455").data(SdkBytes.fromByteArray(everyByte)));
        Check.equal("shardId-000000000001", one.shardId());
        List<PutRecordsRequestEntry> entries = IntStream.range(0, 500).mapToObj(number -> PutRecordsRequestEntry.builder()
                .partitionKey("key-" + number % 7).data(SdkBytes.fromUtf8String("" + number)).build()).collect(Collectors.toList());
        PutRecordsResponse many = kinesis.putRecords(request -> request.streamName(stream).records(entries));
        Check.equal(0, many.failedRecordCount());
        Check.equal(500, many.records().size());
        List<Record> found = new ArrayList<>();
        for (Shard shard : kinesis.listShards(request -> request.streamName(stream)).shards()) {
            found.addAll(get(shard.shardId(), request -> request.shardIteratorType(ShardIteratorType.TRIM_HORIZON)));
        }
        Check.equal(501, found.size());
        var first = found.stream().filter(record -> record.sequenceNumber().equals(one.sequenceNumber())).findFirst().get();
        Check.equal("žluť", first.partitionKey());
        Check.equal(SdkBytes.fromByteArray(everyByte), first.data());
        Check.that(Duration.between(first.approximateArrivalTimestamp(), Instant.now()).abs().toMinutes() < 5, first);
        kinesis.deleteStream(request -> request.streamName(stream));
    }

    private List<Record> get(
            String shard, Consumer<GetShardIteratorRequest.Builder> position) {
        String iterator = kinesis.getShardIterator(request -> position.accept(request.streamName(stream).shardId(shard))).shardIterator();
        GetRecordsResponse answer = kinesis.getRecords(request -> request.shardIterator(iterator));
        Check.equal(0L, answer.millisBehindLatest());
        Check.that(answer.nextShardIterator() != null, answer);
        return answer.records();
    }

    private void positions() {
        create(1);
        List<String> numbers = IntStream.range(0, 3).mapToObj(number -> put("k", "" + number).sequenceNumber()).collect(Collectors.toList());
        Check.equal("0 1 2", texts(get(SHARD, request -> request.shardIteratorType(ShardIteratorType.TRIM_HORIZON))));
        Check.equal("1 2", texts(get(SHARD, request -> request.shardIteratorType(ShardIteratorType.AT_SEQUENCE_NUMBER)
                .startingSequenceNumber(numbers.get(1)))));
        Check.equal("2", texts(get(SHARD, request -> request.shardIteratorType(ShardIteratorType.AFTER_SEQUENCE_NUMBER)
                .startingSequenceNumber(numbers.get(1)))));
        Check.equal("", texts(get(SHARD, request -> request.shardIteratorType(ShardIteratorType.LATEST))));
        // Its time, to the millisecond, from the answer that says it.
        var records = get(SHARD, request -> request.shardIteratorType(ShardIteratorType.TRIM_HORIZON));
        Check.equal("0 1 2", texts(get(SHARD, request -> request.shardIteratorType(ShardIteratorType.AT_TIMESTAMP)
                .timestamp(records.get(0).approximateArrivalTimestamp()))));
        Check.equal("", texts(get(SHARD, request -> request.shardIteratorType(ShardIteratorType.AT_TIMESTAMP)
                .timestamp(records.get(2).approximateArrivalTimestamp().plusMillis(1)))));
        kinesis.splitShard(request -> request.streamName(stream).shardToSplit(SHARD)
                .newStartingHashKey("170141183460469231731687303715884105728"));
        String end = kinesis.getShardIterator(request -> request.streamName(stream).shardId(SHARD)
                .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
        GetRecordsResponse last = kinesis.getRecords(request -> request.shardIterator(end));
        Check.equal(null, last.nextShardIterator());
        Check.equal(List.of(SHARD), last.childShards().get(0).parentShards());
        kinesis.deleteStream(request -> request.streamName(stream));
    }

    private static String texts(List<Record> records) {
        return records.stream().map(record -> record.data().asUtf8String()).collect(Collectors.joining(" "));
    }

    private void errors() {
        ResourceNotFoundException none = Check.fails(ResourceNotFoundException.class, () -> put("k", "v"));
        Check.that(none.awsErrorDetails().errorMessage().contains(stream), none);
        Check.equal(400, none.statusCode());
        Check.that(none.requestId() != null, none);
        create(1);
        Check.fails(ResourceInUseException.class, () -> kinesis.createStream(request -> request.streamName(stream).shardCount(1)));
        Check.fails(InvalidArgumentException.class, () -> kinesis.getRecords(request -> request.shardIterator("no iterator")));
        Check.fails(InvalidArgumentException.class, () -> kinesis.getShardIterator(request -> request.streamName(stream).shardId(SHARD)
                .shardIteratorType(ShardIteratorType.AT_SEQUENCE_NUMBER).startingSequenceNumber("1")));
        Check.fails(LimitExceededException.class, () -> kinesis.createStream(request -> request.streamName(stream + "-2").shardCount(501)));
        KinesisException invalid = Check.fails(KinesisException.class, () -> put("", "v"));
        Check.equal("ValidationException", invalid.awsErrorDetails().errorCode());
        Check.that(invalid.awsErrorDetails().errorMessage().contains("'partitionKey'"), invalid);
        Check.fails(KinesisException.class, () -> put("k", "x".repeat(1 << 20 | 1)));
        kinesis.deleteStream(request -> request.streamName(stream));
    }

    /** A subscription by HTTP/2: events of records until there are three, the shard's end and its children. */
    private void pushed(URI endpoint) throws Exception {
        create(1);
        try (KinesisAsyncClient client = Clients.of(KinesisAsyncClient.builder(), endpoint).build()) {
            String arn = client.describeStreamSummary(request -> request.streamName(stream)).join().streamDescriptionSummary().streamARN();
            String consumer = client.registerStreamConsumer(request -> request.streamARN(arn).consumerName("java")).join()
                    .consumer().consumerARN();
            put("k", "0");
            List<String> received = new ArrayList<>();
            List<ChildShard> children = new ArrayList<>();
            var handler = SubscribeToShardResponseHandler.builder().subscriber(event -> event.accept(
                    SubscribeToShardResponseHandler.Visitor.builder().onSubscribeToShardEvent(pushed -> {
                        Check.that(pushed.millisBehindLatest() != null, pushed);
                        for (var record : pushed.records()) {
                            received.add(record.data().asUtf8String());
                            if (received.size() < 3) {
                                put("k", "" + received.size());
                            } else {
                                kinesis.splitShard(request -> request.streamName(stream).shardToSplit(SHARD)
                                        .newStartingHashKey("170141183460469231731687303715884105728"));
                            }
                        }
                        children.addAll(pushed.childShards());
                    }).build())).build();
            client.subscribeToShard(request -> request.consumerARN(consumer).shardId(SHARD)
                    .startingPosition(position -> position.type(ShardIteratorType.TRIM_HORIZON)), handler).get(60, TimeUnit.SECONDS);
            Check.equal(List.of("0", "1", "2"), received);
            Check.equal(2, children.size());
            var refused = Check.fails(CompletionException.class, () -> client.subscribeToShard(request -> request
                    .consumerARN(consumer + "0").shardId(SHARD).startingPosition(position -> position.type(ShardIteratorType.LATEST)),
                    handler).join());
            Check.that(refused.getCause() instanceof ResourceNotFoundException, refused.getCause());
        }
        kinesis.deleteStream(request -> request.streamName(stream).enforceConsumerDeletion(true));
    }
}
