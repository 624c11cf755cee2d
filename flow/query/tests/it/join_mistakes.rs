//! Mistakes in joins of Stream Analytics' language and the exact texts that tell of them.

use millstream_catalog::QueryDialect;

use crate::mistakes::mistakes;

#[test]
fn joins_of_stream_analytics() {
    for (sql, expected) in [
        (
            "SELECT LAG(price) OVER (LIMIT DURATION(minute, 1)) FROM trades a JOIN trades b ON DATEDIFF(second, a, b) = 0",
            "error[Q105]: `LAG(price) OVER (LIMIT DURATION(minute, 1))` looks back in one source of the join, and does not say in which\n  \
             at 1:8\n  try: LAG(a.column) OVER (PARTITION BY a.key LIMIT DURATION(minute, 5))",
        ),
        (
            "SELECT a.price FROM trades a JOIN trades b",
            "error[Q101]: expected `ON`, found the end of the text\n  at 1:43",
        ),
        (
            "SELECT a.price FROM trades a JOIN trades b ON a.symbol = b.symbol AND DATEDIFF(second, a, b) > 0",
            "error[Q109]: a join without bounds in time would keep all rows for ever: the streams have no end\n  at 1:30\n  \
             try: ON … AND DATEDIFF(minute, a, b) BETWEEN 0 AND 15",
        ),
        (
            "SELECT a.price FROM trades a JOIN trades b ON DATEDIFF(day, a, b) BETWEEN 0 AND 8",
            "error[Q111]: the rows of a join may be at most 7 days apart\n  at 1:47\n  try: a smaller number, or a shorter unit",
        ),
        (
            "SELECT a.price FROM trades a JOIN trades b ON DATEDIFF(month, a, b) = 0",
            "error[Q111]: DATEDIFF in `month` cannot bound a join\n  at 1:47\n  \
             try: day, hour, minute, second or millisecond",
        ),
        (
            "SELECT a.price FROM trades a JOIN trades b ON DATEDIFF(second, a, b) BETWEEN 9 AND 1",
            "error[Q111]: no two rows are as far apart as the bounds of the join ask\n  at 1:30\n  \
             try: the lesser number first",
        ),
        (
            "SELECT * FROM trades a JOIN trades b ON DATEDIFF(second, a, b) = 0",
            "error[Q101]: `*` stands for the columns of one source, and a join has several\n  at 1:8\n  try: a.*, b.*",
        ),
        (
            "SELECT price FROM trades a JOIN trades b ON DATEDIFF(second, a, b) = 0",
            "error[Q105]: `price` may be of `a` or of `b`\n  at 1:8\n  try: a.price",
        ),
        (
            "SELECT a.pric FROM trades a JOIN trades b ON DATEDIFF(second, a, b) = 0",
            "error[Q104]: `a` has no column `pric`\n  at 1:10\n  try: price",
        ),
        (
            "SELECT pric FROM trades a JOIN trades b ON DATEDIFF(second, a, b) = 0",
            "error[Q104]: none of `a`, `b` has a column `pric`\n  at 1:8\n  try: price",
        ),
        (
            "SELECT trades.price FROM trades JOIN trades ON DATEDIFF(second, trades, trades) = 0",
            "error[Q112]: two sources of one join are called `trades`\n  at 1:38\n  try: JOIN trades AS other",
        ),
        (
            "SELECT a.price FROM trades a FULL JOIN trades b ON DATEDIFF(second, a, b) = 0",
            "error[Q101]: expected JOIN, INNER JOIN or LEFT OUTER JOIN, found `FULL`\n  at 1:30\n  \
             try: a LEFT JOIN with the two sides exchanged",
        ),
        (
            "SELECT a.price FROM trades a JOIN trades b ON a.price = b.symbol AND DATEDIFF(second, a, b) = 0",
            "error[Q108]: a comparison of float and nvarchar(max): `a.price` and `b.symbol` are of different types\n  \
             at 1:47\n  try: declare `b.symbol` as float, or TRY_CAST(b.symbol AS float)",
        ),
    ] {
        assert_eq!(mistakes(QueryDialect::StreamAnalytics, sql), [expected], "{sql}");
    }
}
