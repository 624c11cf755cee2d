import com.sun.management.OperatingSystemMXBean;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableDescriptor;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.catalog.CatalogBaseTable;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ObjectPath;

/**
 * Runs statements of Apache Flink's SQL over files, all cases in one process.
 *
 * <p>Each folder in the one that is given is a case: `query.sql`, and below `in` a file of JSON lines for each table that is read.
 * The rows of each table that is written come below `out/TABLE`, as JSON lines; what Flink has against the statements in `refused`.
 * The statements run as they are. Only where a table lies is another thing than they say: in the case's folder. Of each case that
 * ran a line is printed: its name, how long its job ran, and how long processors worked for it with its planning, in milliseconds.
 */
public final class Cases {
    private static final Pattern SET = Pattern.compile("SET\\s+'([^']*)'\\s*=\\s*'([^']*)'");
    private static final Pattern INSERT =
            Pattern.compile("INSERT\\s+INTO\\s+`?(\\w+)`?\\s*(?:\\([^)]*\\)\\s*)?(.*)", Pattern.DOTALL);
    private static final Pattern CREATE =
            Pattern.compile("CREATE\\s+(?:TEMPORARY\\s+)?TABLE\\s+(?:IF\\s+NOT\\s+EXISTS\\s+)?`?(\\w+)`?.*", Pattern.DOTALL);

    private final Path folder;
    private final TableEnvironment tables;
    private final StatementSet inserts;

    private Cases(Path folder, URI cluster) {
        this.folder = folder;
        tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        Map.of(
                "execution.target", "remote",
                "rest.address", cluster.getHost(),
                "rest.port", String.valueOf(cluster.getPort()),
                "parallelism.default", "1",
                "table.local-time-zone", "UTC",
                // A watermark goes with each row: which rows are late does not hang on the clock.
                "pipeline.auto-watermark-interval", "0 ms")
            .forEach(tables.getConfig()::set);
        inserts = tables.createStatementSet();
    }

    public static void main(String[] arguments) throws Exception {
        List<Path> cases;
        try (Stream<Path> found = Files.list(Path.of(arguments[0]))) {
            cases = found.sorted().toList();
        }
        try (MiniCluster cluster = cluster()) {
            cluster.start();
            for (Path folder : cases) {
                try {
                    new Cases(folder, cluster.getRestAddress().get()).run();
                } catch (Exception | LinkageError error) {
                    try (PrintWriter told = new PrintWriter(Files.newBufferedWriter(folder.resolve("refused")))) {
                        error.printStackTrace(told);
                    }
                }
            }
        }
        // Threads of Flink's may outlive it.
        System.exit(0);
    }

    /** One for all cases: to start one costs more than most of them. */
    private static MiniCluster cluster() {
        Configuration configuration = Configuration.fromMap(Map.of(
            "rest.bind-port", "0",
            "taskmanager.memory.managed.size", "64 mb",
            "taskmanager.memory.network.min", "32 mb",
            "taskmanager.memory.network.max", "32 mb"));
        return new MiniCluster(new MiniClusterConfiguration.Builder().setConfiguration(configuration)
            .setNumTaskManagers(1).setNumSlotsPerTaskManager(1).build());
    }

    private void run() throws Exception {
        for (String statement : statements(Files.readString(folder.resolve("query.sql")))) {
            Matcher set = SET.matcher(statement);
            Matcher create = CREATE.matcher(statement);
            Matcher insert = INSERT.matcher(statement);
            if (set.matches()) {
                tables.getConfig().set(set.group(1), set.group(2));
            } else if (create.matches()) {
                tables.executeSql(statement.replaceFirst("TEMPORARY\\s", ""));
                move(create.group(1));
            } else if (insert.matches()) {
                insert(insert.group(1), insert.group(2), statement);
            } else {
                tables.executeSql(statement);
            }
        }
        long before = cpu();
        JobClient job = inserts.execute().getJobClient().orElseThrow();
        long runtime = job.getJobExecutionResult().get().getNetRuntime();
        System.out.printf("%s %d %d%n", folder.getFileName(), runtime, (cpu() - before) / 1_000_000);
    }

    /** How long processors have worked for this process, in nanoseconds. */
    private static long cpu() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** Lets a table that was created lie in the case's folder. What a connector would tell of a record is a field of it there. */
    private void move(String name) throws Exception {
        CatalogBaseTable created = tables.getCatalog(tables.getCurrentCatalog()).orElseThrow()
            .getTable(new ObjectPath(tables.getCurrentDatabase(), name));
        Schema.Builder schema = Schema.newBuilder();
        for (Column column : tables.from(name).getResolvedSchema().getColumns()) {
            if (column instanceof Column.ComputedColumn computed) {
                schema.columnByExpression(column.getName(), computed.getExpression().asSerializableString());
            } else {
                schema.column(column.getName(), column.getDataType());
            }
        }
        for (Schema.UnresolvedWatermarkSpec mark : created.getUnresolvedSchema().getWatermarkSpecs()) {
            schema.watermark(mark.getColumnName(), mark.getWatermarkExpression());
        }
        tables.executeSql("DROP TABLE `" + name + "`");
        place(name, schema.build(), created.getOptions());
    }

    private void place(String name, Schema schema, Map<String, String> options) {
        Path sample = folder.resolve("in").resolve(name + ".jsonl");
        Path path = Files.exists(sample) ? sample : folder.resolve("out").resolve(name);
        TableDescriptor.Builder table = TableDescriptor.forConnector("filesystem").schema(schema)
            .option("path", path.toUri().toString())
            .option("format", "json")
            .option("json.timestamp-format.standard", options.getOrDefault("json.timestamp-format.standard", "ISO-8601"));
        tables.createTable(name, table.build());
    }

    private void insert(String target, String query, String statement) {
        if (!List.of(tables.listTables()).contains(target)) {
            // Nobody says what columns it has: those of the first query that writes it.
            Schema.Builder schema = Schema.newBuilder();
            schema.fromRowDataType(tables.sqlQuery(query).getResolvedSchema().toPhysicalRowDataType());
            place(target, schema.build(), Map.of());
        }
        inserts.addInsertSql(statement);
    }

    /** The statements of a text, without the `;` behind them; those of a set one by one. */
    private static List<String> statements(String text) {
        List<String> found = new ArrayList<>();
        StringBuilder statement = new StringBuilder();
        boolean quoted = false;
        for (char next : text.toCharArray()) {
            quoted ^= next == '\'';
            if (next != ';' || quoted) {
                statement.append(next);
                continue;
            }
            String whole = statement.toString().replaceFirst("EXECUTE\\s+STATEMENT\\s+SET\\s+BEGIN", "").strip();
            if (!whole.equals("END")) {
                found.add(whole);
            }
            statement.setLength(0);
        }
        return found;
    }
}
