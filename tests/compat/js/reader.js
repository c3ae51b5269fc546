// Reads partitions by assignment. KafkaJS's consumer always joins a group, so this uses the parts below it.
"use strict";

const Cluster = require("kafkajs/src/cluster");
const createSocketFactory = require("kafkajs/src/network/socketFactory");
const { createLogger, LEVELS } = require("kafkajs/src/loggers");
const LoggerConsole = require("kafkajs/src/loggers/console");

const { STEP_MS } = require("./report");

class Reader {
  /** Reads from `next`: partition → offset. */
  constructor(cluster, topic, next) {
    Object.assign(this, { cluster, topic, next });
  }

  /** A reader of these partitions: from the earliest, or the latest, or an offset. */
  static async open(bootstrap, topic, partitions, from) {
    const cluster = new Cluster({
      logger: createLogger({ level: LEVELS.NOTHING, logCreator: LoggerConsole }),
      socketFactory: createSocketFactory(),
      brokers: [bootstrap],
      clientId: "corelog-compat",
      connectionTimeout: 5_000,
      requestTimeout: 30_000,
      enforceRequestTimeout: true,
      metadataMaxAge: 60_000,
      allowAutoTopicCreation: false,
      isolationLevel: 0,
    });
    await cluster.connect();
    await cluster.addTargetTopic(topic);
    if (typeof from === "number") return new Reader(cluster, topic, new Map(partitions.map((each) => [each, from])));
    const asked = { topic, partitions: partitions.map((partition) => ({ partition })), fromBeginning: from === "earliest" };
    const [found] = await cluster.fetchTopicsOffset([asked]);
    return new Reader(cluster, topic, new Map(found.partitions.map((each) => [each.partition, Number(each.offset)])));
  }

  /** The next `count` messages, each with its partition. */
  async take(count) {
    const messages = [];
    const deadline = Date.now() + STEP_MS;
    while (messages.length < count) {
      if (Date.now() > deadline) throw new Error(`${messages.length} of ${count} messages came`);
      messages.push(...(await this.poll(200)));
    }
    return messages;
  }

  /** What one fetch brings. */
  async poll(maxWaitTime) {
    const partitions = [...this.next].map(([partition, offset]) => ({
      partition,
      fetchOffset: String(offset),
      maxBytes: 2_000_000,
    }));
    const leaders = this.cluster.findLeaderForPartitions(this.topic, [...this.next.keys()]);
    const [nodeId] = Object.keys(leaders);
    const broker = await this.cluster.findBroker({ nodeId });
    const answer = await broker.fetch({ isolationLevel: 0, maxWaitTime, topics: [{ topic: this.topic, partitions }] });
    const messages = [];
    for (const { partition, messages: found } of answer.responses[0]?.partitions ?? []) {
      // A batch may begin before the offset that was asked for.
      const fresh = found.filter((each) => Number(each.offset) >= this.next.get(partition));
      if (fresh.length > 0) this.next.set(partition, Number(fresh.at(-1).offset) + 1);
      messages.push(...fresh.map((each) => ({ ...each, partition })));
    }
    return messages;
  }

  async close() {
    await this.cluster.disconnect();
  }
}

module.exports = { Reader };
