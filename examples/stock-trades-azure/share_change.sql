WITH ShareChanges AS (
    SELECT
        System.Timestamp AS time,
        symbol,
        SUM(shares) AS shareChange,
        CONCAT(symbol, '-', CAST(System.Timestamp AS nvarchar(max))) AS id
    FROM StockTransactionsRaw
    GROUP BY symbol, TumblingWindow(minute, 1)
)

SELECT * INTO ShareChangeDocuments FROM ShareChanges

SELECT time, symbol, shareChange INTO ShareChangeFiles FROM ShareChanges

SELECT time, symbol, shareChange INTO ShareChangeHub FROM ShareChanges

SELECT time, symbol, shareChange INTO Announce FROM ShareChanges

SELECT symbol, price, shares, userId, time INTO RawFiles FROM StockTransactionsRaw
