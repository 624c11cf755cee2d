import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.amqp.exception.AmqpErrorCondition;
import com.azure.core.amqp.exception.AmqpException;
import com.azure.core.util.IterableStream;
import com.azure.messaging.eventhubs.EventData;
import com.azure.messaging.eventhubs.EventDataBatch;
import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.azure.messaging.eventhubs.EventHubConsumerClient;
import com.azure.messaging.eventhubs.EventHubProperties;
import com.azure.messaging.eventhubs.EventHubProducerClient;
import com.azure.messaging.eventhubs.EventProcessorClient;
import com.azure.messaging.eventhubs.EventProcessorClientBuilder;
import com.azure.messaging.eventhubs.PartitionProperties;
import com.azure.messaging.eventhubs.checkpointstore.blob.BlobCheckpointStore;
import com.azure.messaging.eventhubs.models.CreateBatchOptions;
import com.azure.messaging.eventhubs.models.EventPosition;
import com.azure.messaging.eventhubs.models.PartitionEvent;
import com.azure.messaging.eventhubs.models.SendOptions;
import com.azure.storage.blob.BlobContainerAsyncClient;
import com.azure.storage.blob.BlobContainerClientBuilder;

/** Event Hubs with Azure's client for Java. */
public class Hubs {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final String connection;
    private final String hub;
    /** What processors call the namespace in their checkpoints. */
    private volatile String namespace;

    private Hubs(String connection, String hub) {
        this.connection = connection;
        this.hub = hub;
    }

    /**
     * Arguments: what to do (`properties`, `events`, `positions`, `groups`, `errors`, `sockets` or `processors`), the connection string, the
     * hub, which has four partitions and a consumer group `second`, and for `processors` the connection string of blobs.
     */
    public static void main(String[] arguments) throws Exception {
        Hubs test = new Hubs(arguments[1], arguments[2]);
        switch (arguments[0]) {
            case "properties" -> test.properties();
            case "events" -> test.events();
            case "positions" -> test.positions();
            case "groups" -> test.groups();
            case "errors" -> test.errors();
            case "processors" -> test.processors(arguments[3]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        // The library's threads would keep the program for a while.
        System.exit(0);
    }

    private EventHubClientBuilder builder(String hub) {
        EventHubClientBuilder builder = new EventHubClientBuilder().connectionString(connection, hub)
                .retryOptions(new AmqpRetryOptions().setMaxRetries(1).setTryTimeout(PATIENCE));
        // Where a namespace is that does not listen on the cloud's own port.
        String endpoint = System.getProperty("hubs.endpoint");
        return endpoint == null ? builder : builder.customEndpointAddress(endpoint);
    }

    private EventHubProducerClient producer() {
        return builder(hub).buildProducerClient();
    }

    private EventHubConsumerClient consumer(String group) {
        return builder(hub).consumerGroup(group).buildConsumerClient();
    }

    private static List<EventData> events(String... texts) {
        return Stream.of(texts).map(EventData::new).toList();
    }

    /** So many events of a partition, from a position on. */
    private static List<EventData> receive(EventHubConsumerClient consumer, String partition, int count, EventPosition from) {
        List<EventData> found = new ArrayList<>();
        Instant end = Instant.now().plus(PATIENCE);
        EventPosition position = from;
        while (found.size() < count && Instant.now().isBefore(end)) {
            IterableStream<PartitionEvent> came =
                    consumer.receiveFromPartition(partition, count - found.size(), position, Duration.ofSeconds(2));
            for (PartitionEvent event : came) {
                Check.equal(partition, event.getPartitionContext().getPartitionId());
                found.add(event.getData());
                position = EventPosition.fromSequenceNumber(event.getData().getSequenceNumber());
            }
        }
        Check.equal(count, found.size());
        return found;
    }

    private static List<String> texts(List<EventData> events) {
        return events.stream().map(EventData::getBodyAsString).toList();
    }

    private void properties() {
        try (EventHubProducerClient producer = producer()) {
            EventHubProperties properties = producer.getEventHubProperties();
            Check.equal(hub, properties.getName());
            Check.equal(List.of("0", "1", "2", "3"), properties.getPartitionIds().stream().toList());
            Check.that(properties.getCreatedAt().isBefore(Instant.now().plusSeconds(60)), properties.getCreatedAt());
            Check.that(producer.getPartitionProperties("1").isEmpty(), "an empty partition");
            producer.send(events("a", "b"), new SendOptions().setPartitionId("1"));
            PartitionProperties filled = producer.getPartitionProperties("1");
            Check.equal(false, filled.isEmpty());
            Check.equal(List.of(0L, 1L), List.of(filled.getBeginningSequenceNumber(), filled.getLastEnqueuedSequenceNumber()));
            Check.equal("1", filled.getLastEnqueuedOffset());
        }
    }

    private void events() {
        try (EventHubProducerClient producer = builder(hub).buildProducerClient();
                EventHubConsumerClient consumer = builder(hub).consumerGroup("$Default").buildConsumerClient()) {
            EventData full = new EventData("full");
            full.setMessageId("id").setCorrelationId("correlation").setContentType("text/plain");
            full.getProperties().putAll(Map.of("text", "žluť", "number", 7, "long", 1L << 40, "flag", true, "part", 0.5));
            EventDataBatch batch = producer.createBatch(new CreateBatchOptions().setPartitionId("2"));
            Check.that(batch.tryAdd(full) && batch.tryAdd(new EventData("x".repeat(200_000))), batch.getCount());
            Check.equal(false, batch.tryAdd(new EventData("x".repeat(900_000))));
            producer.send(batch);
            List<EventData> came = receive(consumer, "2", 2, EventPosition.earliest());
            EventData first = came.get(0);
            Check.equal("full", first.getBodyAsString());
            Check.equal(List.of("id", "correlation", "text/plain"),
                    List.of(first.getMessageId(), first.getCorrelationId(), first.getContentType()));
            Check.equal(new TreeMap<>(full.getProperties()), new TreeMap<>(first.getProperties()));
            Check.equal(List.of(0L, 1L), came.stream().map(EventData::getSequenceNumber).toList());
            Check.equal("0", first.getOffsetString());
            Check.that(Duration.between(first.getEnqueuedTime(), Instant.now()).abs().toMinutes() < 5, first.getEnqueuedTime());
            Check.equal(200_000, came.get(1).getBody().length);
            keys(producer, consumer);
        }
    }

    /** What has one key is in one partition, in its order. */
    private void keys(EventHubProducerClient producer, EventHubConsumerClient consumer) {
        for (int round = 0; round < 3; round++) {
            producer.send(events("key-" + round), new SendOptions().setPartitionKey("MSFT"));
        }
        producer.send(events("anywhere"));
        List<String> seen = new ArrayList<>();
        for (String partition : consumer.getPartitionIds()) {
            PartitionProperties properties = consumer.getPartitionProperties(partition);
            int count = (int) (properties.getLastEnqueuedSequenceNumber() + 1);
            List<EventData> here = receive(consumer, partition, count, EventPosition.earliest());
            List<String> keyed = here.stream().filter(event -> "MSFT".equals(event.getPartitionKey())).map(EventData::getBodyAsString).toList();
            Check.that(keyed.isEmpty() || keyed.equals(List.of("key-0", "key-1", "key-2")), keyed);
            seen.addAll(texts(here));
        }
        Check.that(seen.containsAll(List.of("key-0", "key-1", "key-2", "anywhere")), seen);
    }

    private void positions() {
        try (EventHubProducerClient producer = producer(); EventHubConsumerClient consumer = consumer("$Default")) {
            SendOptions first = new SendOptions().setPartitionId("0");
            producer.send(events("a", "b", "c"), first);
            List<EventData> all = receive(consumer, "0", 3, EventPosition.earliest());
            Check.equal(List.of("a", "b", "c"), texts(all));
            Check.equal(List.of("b", "c"), texts(receive(consumer, "0", 2, EventPosition.fromSequenceNumber(1, true))));
            Check.equal(List.of("c"), texts(receive(consumer, "0", 1, EventPosition.fromSequenceNumber(1))));
            Check.equal(List.of("c"), texts(receive(consumer, "0", 1, EventPosition.fromOffsetString(all.get(1).getOffsetString()))));
            Instant before = all.get(0).getEnqueuedTime().minusMillis(1);
            Check.equal(List.of("a", "b", "c"), texts(receive(consumer, "0", 3, EventPosition.fromEnqueuedTime(before))));
            IterableStream<PartitionEvent> later = consumer.receiveFromPartition("0", 1, EventPosition.latest(), Duration.ofSeconds(1));
            Check.equal(0L, later.stream().count());
        }
    }

    private void groups() {
        try (EventHubProducerClient producer = producer();
                EventHubConsumerClient one = consumer("$Default");
                EventHubConsumerClient other = consumer("second")) {
            producer.send(events("a", "b"), new SendOptions().setPartitionId("3"));
            Check.equal(List.of("a", "b"), texts(receive(one, "3", 2, EventPosition.earliest())));
            Check.equal(List.of("a", "b"), texts(receive(other, "3", 2, EventPosition.earliest())));
        }
    }

    private static void condition(AmqpErrorCondition expected, AmqpException failure) {
        Check.equal(expected, failure.getErrorCondition());
    }

    private void errors() {
        try (EventHubProducerClient missing = builder("no-such-hub").buildProducerClient();
                EventHubConsumerClient stranger = consumer("no-such-group");
                EventHubProducerClient producer = producer();
                EventHubProducerClient forged = new EventHubClientBuilder()
                        .connectionString(connection.replaceFirst("SharedAccessKeyName=[^;]*", "SharedAccessKeyName=nobody"), hub)
                        .retryOptions(new AmqpRetryOptions().setMaxRetries(0)).buildProducerClient()) {
            condition(AmqpErrorCondition.NOT_FOUND, Check.fails(AmqpException.class, missing::getEventHubProperties));
            // The library says that its receiver is over, and why as the cause.
            condition(AmqpErrorCondition.NOT_FOUND, (AmqpException) Check.fails(RuntimeException.class,
                    () -> stranger.receiveFromPartition("0", 1, EventPosition.earliest(), Duration.ofSeconds(5)).stream().count()).getCause());
            condition(AmqpErrorCondition.LINK_PAYLOAD_SIZE_EXCEEDED, Check.fails(AmqpException.class, () -> {
                producer.send(events("x".repeat(2 << 20)));
                return "sent";
            }));
            condition(AmqpErrorCondition.UNAUTHORIZED_ACCESS, Check.fails(AmqpException.class, forged::getEventHubProperties));
            producer.send(events("the others' mistakes are their own"));
        }
    }

    /** Two processors share the partitions; a third goes on behind their checkpoints. */
    private void processors(String blobs) throws Exception {
        BlobContainerAsyncClient container = new BlobContainerClientBuilder().connectionString(blobs).containerName(hub).buildAsyncClient();
        container.create().block(PATIENCE);
        Set<String> sent = new HashSet<>();
        try (EventHubProducerClient producer = producer()) {
            for (int partition = 0; partition < 4; partition++) {
                String[] texts = {partition + "-a", partition + "-b", partition + "-c"};
                producer.send(events(texts), new SendOptions().setPartitionId("" + partition));
                Collections.addAll(sent, texts);
            }
        }
        Check.equal(sent, process(container, 2, sent));
        Set<String> left = left(container, sent);
        Check.that(left.size() < sent.size() / 2, left);
        left.add("later");
        try (EventHubProducerClient producer = producer()) {
            producer.send(events("later"), new SendOptions().setPartitionId("2"));
        }
        Check.equal(left, process(container, 1, left));
    }

    /** What no checkpoint covers: one of a partition that changed hands may be behind. Processors write the group in small letters. */
    private Set<String> left(BlobContainerAsyncClient container, Set<String> sent) {
        Set<String> left = new TreeSet<>(sent);
        new BlobCheckpointStore(container).listCheckpoints(namespace, hub, "$default").toIterable(10).forEach(checkpoint -> {
            List<String> texts = List.of("-a", "-b", "-c").subList(0, (int) (checkpoint.getSequenceNumber() + 1));
            texts.forEach(text -> left.remove(checkpoint.getPartitionId() + text));
        });
        return left;
    }

    /** What so many processors read until they have seen what is wanted; each event is followed by a checkpoint. */
    private Set<String> process(BlobContainerAsyncClient container, int processors, Set<String> wanted) throws Exception {
        Set<String> seen = new ConcurrentSkipListSet<>();
        Map<String, String> failures = new ConcurrentHashMap<>();
        CountDownLatch done = new CountDownLatch(1);
        List<EventProcessorClient> running = new ArrayList<>();
        for (int number = 0; number < processors; number++) {
            EventProcessorClient processor = new EventProcessorClientBuilder().connectionString(connection, hub)
                    .consumerGroup("$Default").checkpointStore(new BlobCheckpointStore(container))
                    .loadBalancingUpdateInterval(Duration.ofSeconds(1)).partitionOwnershipExpirationInterval(Duration.ofSeconds(15))
                    .initialPartitionEventPosition(partition -> EventPosition.earliest())
                    .processEvent(context -> {
                        context.updateCheckpoint();
                        namespace = context.getPartitionContext().getFullyQualifiedNamespace();
                        seen.add(context.getEventData().getBodyAsString());
                        if (seen.containsAll(wanted)) {
                            done.countDown();
                        }
                    })
                    .processError(context -> failures.put(context.getPartitionContext().getPartitionId(), "" + context.getThrowable()))
                    .buildEventProcessorClient();
            processor.start();
            running.add(processor);
        }
        boolean all = done.await(60, TimeUnit.SECONDS);
        running.forEach(EventProcessorClient::stop);
        Check.that(all, seen + " " + failures);
        return seen;
    }
}
