// Ports for the nodes of the browser tests.

import { randomInt } from "node:crypto";
import { createServer } from "node:net";

// Below those that systems give to outgoing connections, so that none takes a port before its node does.
const FIRST = 15_000;
const END = 32_000;
const given = new Set();

const isFree = (port) => new Promise((resolve) => {
  const server = createServer();
  server.on("error", () => resolve(false));
  server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
});

// A port on which nothing listens; no port is given twice.
export const freePort = async () => {
  while (given.size < END - FIRST) {
    const port = randomInt(FIRST, END);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
  throw new Error("no port is free");
};
