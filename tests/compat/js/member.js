// A member of a group by KafkaJS; see ../groups/driver.py. This client has neither static nor cooperative members.
"use strict";

const kafkajs = require("kafkajs");

const [bootstrap, groupId, topic] = process.argv.slice(2);
const kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR });
const consumer = kafka.consumer({ groupId, sessionTimeout: 6_000, heartbeatInterval: 500, rebalanceTimeout: 10_000 });

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  const has = payload.memberAssignment[topic] ?? [];
  console.log(`assigned ${[...has].sort((a, b) => a - b).join(",")}`);
});

async function run() {
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      console.log(`read ${partition} ${message.offset}`);
      const following = String(BigInt(message.offset) + 1n);
      await consumer.commitOffsets([{ topic, partition, offset: following }]);
      console.log(`committed ${partition} ${following}`);
    },
  });
  process.stdin.resume();
  process.stdin.on("end", async () => {
    await consumer.disconnect();
    process.exit(0);
  });
}

run().catch((error) => {
  console.error(error);
  process.exit(1);
});
