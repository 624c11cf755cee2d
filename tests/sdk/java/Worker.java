import java.net.URI;
import java.nio.charset.StandardCharsets;

import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.leases.LeaseAssignmentStrategy;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker of the Kinesis Client Library, until it is killed. It prints what it is given, a line each, before it says that it has it:
 * `WORKER begins SHARD`, `WORKER record SHARD KEY DATA`, `WORKER lost SHARD`, `WORKER ended SHARD`.
 *
 * Arguments: the endpoint, the application, the stream, the worker's name, `polling` or `fan-out`.
 * Its times are short, so that others notice a death within seconds.
 */
public class Worker {
    public static void main(String[] arguments) {
        URI endpoint = URI.create(arguments[0]);
        String application = arguments[1], stream = arguments[2], worker = arguments[3];
        KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(Clients.of(KinesisAsyncClient.builder(), endpoint));
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON)),
                application, kinesis, Clients.of(DynamoDbAsyncClient.builder(), endpoint).build(),
                Clients.of(CloudWatchAsyncClient.builder(), endpoint).build(), worker, () -> new Processor(worker));
        RetrievalSpecificConfig retrieval = arguments[4].equals("polling")
                ? new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(200).usePollingConfigIdleTimeValue(true)
                : new FanOutConfig(kinesis).streamName(stream).applicationName(application).retryBackoffMillis(200);
        var leases = configs.leaseManagementConfig()
                .failoverTimeMillis(3_000)
                .shardSyncIntervalMillis(200)
                .leaseAssignmentIntervalMillis(1_000L)
                .leaseAssignmentStrategy(LeaseAssignmentStrategy.LEASE_COUNT_BASED)
                .dynamoDbLockBasedLeaderLeaseDurationInMillis(3_000)
                .dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(1_000);
        // A worker counts as there until it has not reported twice.
        leases.workerUtilizationAwareAssignmentConfig().workerMetricsReporterFreqInMillis(1_000);
        new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(200).shardConsumerDispatchPollIntervalMillis(100),
                leases,
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsBufferTimeMillis(1_000),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(retrieval)).run();
    }

    private static class Processor implements ShardRecordProcessor {
        private final String worker;
        private String shard;

        Processor(String worker) {
            this.worker = worker;
        }

        private void tell(String what) {
            // In one write, because several workers print into one file.
            byte[] line = (worker + " " + what + "\n").getBytes(StandardCharsets.UTF_8);
            System.out.write(line, 0, line.length);
            System.out.flush();
        }

        public void initialize(InitializationInput input) {
            shard = input.shardId();
            tell("begins " + shard);
        }

        public void processRecords(ProcessRecordsInput input) {
            for (var record : input.records()) {
                tell("record " + shard + " " + record.partitionKey() + " " + StandardCharsets.UTF_8.decode(record.data()));
            }
            checkpoint(input.checkpointer());
        }

        public void leaseLost(LeaseLostInput input) {
            tell("lost " + shard);
        }

        public void shardEnded(ShardEndedInput input) {
            tell("ended " + shard);
            checkpoint(input.checkpointer());
        }

        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(input.checkpointer());
        }

        private void checkpoint(RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (ShutdownException | InvalidStateException anotherHasTheLease) {
                tell("late " + shard);
            }
        }
    }
}
