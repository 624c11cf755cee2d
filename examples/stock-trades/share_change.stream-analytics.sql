SELECT
    System.Timestamp() AS time,
    symbol,
    SUM(shares) AS shareChange
INTO ShareChanges
FROM StockTransactionsRaw TIMESTAMP BY time
GROUP BY symbol, TumblingWindow(minute, 1)
