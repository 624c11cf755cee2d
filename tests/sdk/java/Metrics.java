import java.net.URI;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;

import software.amazon.awssdk.services.cloudwatch.CloudWatchClient;
import software.amazon.awssdk.services.cloudwatch.model.*;

/** CloudWatch with the AWS SDK for Java: metrics are put, listed and read again. */
public class Metrics {
    /** Arguments: the endpoint, the namespace. */
    public static void main(String[] arguments) {
        CloudWatchClient cloudwatch = Clients.of(CloudWatchClient.builder(), URI.create(arguments[0])).build();
        String namespace = arguments[1];
        Dimension shard = Dimension.builder().name("Shard").value("a").build();
        Instant minute = Instant.now().minusSeconds(120).truncatedTo(ChronoUnit.MINUTES);
        cloudwatch.putMetricData(request -> request.namespace(namespace).metricData(
                MetricDatum.builder().metricName("Records").dimensions(shard).timestamp(minute.plusMillis(1_500)).unit(StandardUnit.COUNT)
                        .values(1.0, 2.5).counts(3.0, 1.0).build(),
                MetricDatum.builder().metricName("Records").dimensions(shard).timestamp(minute.plusSeconds(2)).unit(StandardUnit.COUNT)
                        .statisticValues(values -> values.sampleCount(2.0).sum(10.0).minimum(4.0).maximum(6.0)).build()));
        List<Metric> listed = cloudwatch.listMetrics(request -> request.namespace(namespace)).metrics();
        Check.equal(List.of(Metric.builder().namespace(namespace).metricName("Records").dimensions(shard).build()), listed);
        List<Datapoint> points = cloudwatch.getMetricStatistics(request -> request.namespace(namespace).metricName("Records")
                .dimensions(shard).startTime(minute).endTime(minute.plusSeconds(60)).period(60)
                .statistics(Statistic.SUM, Statistic.SAMPLE_COUNT, Statistic.MINIMUM, Statistic.MAXIMUM)).datapoints();
        Check.equal(1, points.size());
        Check.equal(List.of(15.5, 6.0, 1.0, 6.0), List.of(points.get(0).sum(), points.get(0).sampleCount(), points.get(0).minimum(),
                points.get(0).maximum()));
        Check.equal(minute, points.get(0).timestamp());
        var data = cloudwatch.getMetricData(request -> request.startTime(minute).endTime(minute.plusSeconds(60)).metricDataQueries(
                MetricDataQuery.builder().id("sum").metricStat(stat -> stat.metric(listed.get(0)).period(60).stat("Sum")).build()));
        Check.equal(List.of(15.5), data.metricDataResults().get(0).values());
        CloudWatchException refused = Check.fails(CloudWatchException.class, () -> cloudwatch.putMetricData(
                request -> request.namespace(namespace).metricData(MetricDatum.builder().metricName("").value(1.0).build())));
        Check.equal(400, refused.statusCode());
        Check.fails(InvalidParameterValueException.class, () -> cloudwatch.getMetricStatistics(request -> request.namespace(namespace)
                .metricName("Records").startTime(minute).endTime(minute.plusSeconds(60)).period(61).statistics(Statistic.SUM)));
    }
}
