// KafkaJS against a broker, case by case: suite.js --bootstrap HOST:PORT [--only PART].
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const kafkajs = require("kafkajs");

const codecs = require("./codecs");
const { Reader } = require("./reader");
const { main, STEP_MS } = require("./report");

const MANY = 1_000;
const T0_MS = 1_600_000_000_000;
const run = Date.now().toString(16);

/** A broker to test. */
class Cluster {
  static async connect(bootstrap) {
    const cluster = new Cluster();
    cluster.bootstrap = bootstrap;
    cluster.kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING });
    cluster.admin = cluster.kafka.admin({ retry: { initialRetryTime: 20, retries: 5 } });
    await cluster.admin.connect();
    return cluster;
  }

  name(topic) {
    return `kafkajs-${topic}-${run}`;
  }

  async create(topic, numPartitions = 1, configs = {}) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
    const asked = { topic: this.name(topic), numPartitions, replicationFactor: 1, configEntries };
    const made = await this.admin.createTopics({ topics: [asked] });
    assert.ok(made, `${asked.topic} exists`);
    return asked.topic;
  }

  async partitions(topic) {
    const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0].partitions.length;
  }

  /** Sends the records in order, so many at a time; gives each request's base offset. */
  async produce(topic, records, { partition = 0, compression, together = records.length, ...settings } = {}) {
    const createPartitioner = () => () => partition;
    const producer = this.kafka.producer({ createPartitioner, ...settings });
    await producer.connect();
    try {
      const bases = [];
      for (let at = 0; at < records.length; at += together) {
        const messages = records.slice(at, at + together);
        const [answer] = await producer.send({ topic, messages, compression });
        bases.push(Number(answer.baseOffset));
      }
      return bases;
    } finally {
      await producer.disconnect();
    }
  }

  async read(topic, count, { partition = 0, from = "earliest" } = {}) {
    const reader = await Reader.open(this.bootstrap, topic, [partition], from);
    try {
      return await reader.take(count);
    } finally {
      await reader.close();
    }
  }
}

/** Records with keys and headers; half of each value is noise. */
function keyed(count) {
  return Array.from({ length: count }, (_, at) => ({
    key: Buffer.from(`key-${at}`),
    value: Buffer.concat([Buffer.from("text ".repeat(at % 50)), randomBytes(at % 400)]),
    headers: { at: [Buffer.from(String(at)), Buffer.alloc(0)], other: Buffer.from("-") },
  }));
}

function checkSame(sent, read, first = 0) {
  assert.equal(read.length, sent.length);
  sent.forEach((record, at) => {
    const found = read[at];
    assert.equal(Number(found.offset), first + at);
    assert.deepEqual(found.key, record.key ?? null, `the key at ${found.offset}`);
    assert.deepEqual(found.value, record.value, `the value at ${found.offset}`);
    assert.deepEqual({ ...found.headers }, record.headers ?? {}, `the headers at ${found.offset}`);
    if (record.timestamp) assert.equal(found.timestamp, record.timestamp);
  });
}

async function roundTrip(cluster, topic, sent, settings) {
  const bases = await cluster.produce(topic, sent, settings);
  const together = settings?.together ?? sent.length;
  assert.deepEqual(bases, bases.map((_, at) => at * together));
  checkSame(sent, await cluster.read(topic, sent.length));
}

/** Fails unless the promise fails with that error of the protocol, which may be wrapped. */
async function refused(type, promise) {
  await assert.rejects(promise, (error) => {
    const types = [error.type, error.cause?.type, ...(error.errors ?? []).map((each) => each.type)];
    assert.ok(types.includes(type), `${types} of ${error}, not ${type}`);
    return true;
  });
}

async function until(what, ask) {
  const deadline = Date.now() + STEP_MS;
  while (!(await ask())) {
    assert.ok(Date.now() < deadline, `still not: ${what}`);
    await sleep(20);
  }
}

const TOPIC = kafkajs.ConfigResourceTypes.TOPIC;

const cases = [
  {
    proves: "create",
    name: "topics are made, shown, refused, deleted",
    async run(cluster) {
      const topic = await cluster.create("life", 3, { "segment.bytes": "1048576" });
      assert.equal(await cluster.partitions(topic), 3);
      const again = { topic, numPartitions: 3, replicationFactor: 1 };
      assert.equal(await cluster.admin.createTopics({ topics: [again] }), false);
      await refused("INVALID_CONFIG", cluster.create("bad", 1, { "segment.bytes": "many" }));
      const validated = { topic: cluster.name("validated"), numPartitions: 2, replicationFactor: 1 };
      await cluster.admin.createTopics({ topics: [validated], validateOnly: true, waitForLeaders: false });
      assert.ok(!(await cluster.admin.listTopics()).includes(validated.topic), "validateOnly made a topic");
      await cluster.admin.deleteTopics({ topics: [topic] });
      await until("the topic is gone", async () => !(await cluster.admin.listTopics()).includes(topic));
      await refused("UNKNOWN_TOPIC_OR_PARTITION", cluster.admin.deleteTopics({ topics: [topic] }));
    },
  },
  {
    proves: "grow",
    name: "a topic grows and its new partitions take records",
    async run(cluster) {
      const topic = await cluster.create("grow", 2);
      await cluster.admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
      await until("five partitions", async () => (await cluster.partitions(topic)) === 5);
      const sent = keyed(10);
      await cluster.produce(topic, sent, { partition: 4 });
      checkSame(sent, await cluster.read(topic, 10, { partition: 4 }));
      const shrink = cluster.admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
      await refused("INVALID_PARTITIONS", shrink);
    },
  },
  {
    proves: "by-use",
    name: "producing to an unknown topic makes it",
    run: (cluster) => roundTrip(cluster, cluster.name("made-by-use"), keyed(5)),
  },
  ...Object.entries(codecs).map(([codec, compression]) => ({
    proves: codec,
    name: `records with keys and headers in ${codec} come back as sent`,
    run: async (cluster) => roundTrip(cluster, await cluster.create(`codec-${codec}`), keyed(500), { compression }),
  })),
  {
    proves: "idempotent",
    name: "idempotent records are acked once each, in order",
    run: async (cluster) =>
      roundTrip(cluster, await cluster.create("idempotent"), keyed(700), {
        idempotent: true,
        maxInFlightRequests: 1,
        together: 7,
      }),
  },
  {
    proves: "empty",
    name: "empty values, null values and null keys stay apart",
    async run(cluster) {
      const some = [null, Buffer.alloc(0), Buffer.from("x")];
      const sent = some.flatMap((key) => some.map((value) => ({ key, value })));
      await roundTrip(cluster, await cluster.create("empty"), sent);
    },
  },
  {
    proves: "large",
    name: "records of 950,000 bytes come back as sent",
    async run(cluster) {
      const sent = Array.from({ length: 8 }, () => ({ value: randomBytes(950_000) }));
      await roundTrip(cluster, await cluster.create("large"), sent, { together: 1 });
    },
  },
  {
    proves: "too-large",
    name: "a record over max.message.bytes is refused, and the next one is taken",
    async run(cluster) {
      const topic = await cluster.create("too-large", 1, { "max.message.bytes": "100000" });
      assert.deepEqual(await cluster.produce(topic, [{ value: randomBytes(90_000) }]), [0]);
      await refused("MESSAGE_TOO_LARGE", cluster.produce(topic, [{ value: randomBytes(100_001) }]));
      assert.deepEqual(await cluster.produce(topic, [{ value: randomBytes(10) }]), [1]);
    },
  },
  {
    proves: "earliest offset",
    name: "reading starts at the earliest, and at an offset",
    async run(cluster) {
      const topic = await cluster.create("offset");
      const sent = keyed(100);
      await cluster.produce(topic, sent, { together: 9 });
      checkSame(sent, await cluster.read(topic, 100));
      checkSame(sent.slice(41), await cluster.read(topic, 59, { from: 41 }), 41);
      await refused("OFFSET_OUT_OF_RANGE", cluster.read(topic, 1, { from: 1_000 }));
    },
  },
  {
    proves: "latest",
    name: "reading from the latest sees only what comes after",
    async run(cluster) {
      const topic = await cluster.create("latest");
      await cluster.produce(topic, keyed(10));
      const reader = await Reader.open(cluster.bootstrap, topic, [0], "latest");
      assert.deepEqual(await reader.poll(500), []);
      const later = keyed(5);
      await cluster.produce(topic, later);
      checkSame(later, await reader.take(5), 10);
      await reader.close();
    },
  },
  {
    proves: "timestamp",
    name: "reading starts at a timestamp",
    async run(cluster) {
      const topic = await cluster.create("timestamp");
      const at = (n) => ({ value: Buffer.from([n]), timestamp: String(T0_MS + n * 1000) });
      const sent = Array.from({ length: 100 }, (_, n) => at(n));
      await cluster.produce(topic, sent, { together: 9 });
      const [found] = await cluster.admin.fetchTopicOffsetsByTimestamp(topic, T0_MS + 70_001);
      assert.equal(found.offset, "71");
      checkSame(sent.slice(71), await cluster.read(topic, 29, { from: 71 }), 71);
    },
  },
  {
    proves: "list-offsets",
    name: "the first and the last offset are told",
    async run(cluster) {
      const topic = await cluster.create("list");
      await cluster.produce(topic, keyed(5));
      const [{ low, high }] = await cluster.admin.fetchTopicOffsets(topic);
      assert.deepEqual([low, high], ["0", "5"]);
    },
  },
  {
    proves: "many",
    name: "1,000 partitions are made, written and read",
    async run(cluster) {
      const topic = await cluster.create("many", MANY);
      const createPartitioner = () => ({ message }) => Number(message.value.toString().split(":")[0]);
      const producer = cluster.kafka.producer({ createPartitioner });
      await producer.connect();
      const all = [...Array(MANY).keys()];
      for (let number = 0; number < 3; number++) {
        await producer.send({ topic, messages: all.map((partition) => ({ value: `${partition}:${number}` })) });
      }
      await producer.disconnect();
      const reader = await Reader.open(cluster.bootstrap, topic, all, "earliest");
      const following = new Array(MANY).fill(0);
      for (const { partition, offset, value } of await reader.take(3 * MANY)) {
        assert.deepEqual([Number(offset), value.toString()], [following[partition], `${partition}:${following[partition]}`]);
        following[partition]++;
      }
      await reader.close();
      await cluster.admin.deleteTopics({ topics: [topic] });
    },
  },
  {
    proves: "delete-records",
    name: "records before an offset are deleted",
    async run(cluster) {
      const topic = await cluster.create("delete-records");
      const sent = keyed(100);
      await cluster.produce(topic, sent);
      // Or this client does not know the leader.
      await cluster.admin.fetchTopicOffsets(topic);
      await cluster.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "40" }] });
      checkSame(sent.slice(40), await cluster.read(topic, 60), 40);
      await refused("OFFSET_OUT_OF_RANGE", cluster.read(topic, 1, { from: 39 }));
    },
  },
  {
    // This client's describeCluster() is a Metadata request.
    proves: "create",
    name: "the broker is described",
    async run(cluster) {
      const { brokers, clusterId, controller } = await cluster.admin.describeCluster();
      assert.equal(brokers.length, 1);
      assert.equal(`${brokers[0].host}:${brokers[0].port}`, cluster.bootstrap);
      assert.ok(clusterId);
      assert.equal(controller, brokers[0].nodeId);
    },
  },
  {
    proves: "describe-configs alter-configs",
    name: "a topic's configs are described and replaced",
    async run(cluster) {
      const topic = await cluster.create("configs", 1, { "retention.ms": "3600000" });
      const shown = async () => {
        const asked = { resources: [{ type: TOPIC, name: topic }], includeSynonyms: true };
        const { resources } = await cluster.admin.describeConfigs(asked);
        return Object.fromEntries(resources[0].configEntries.map((each) => [each.configName, each.configValue]));
      };
      const before = await shown();
      assert.deepEqual([before["retention.ms"], before["cleanup.policy"]], ["3600000", "delete"]);
      const replace = (value) =>
        cluster.admin.alterConfigs({
          validateOnly: false,
          resources: [{ type: TOPIC, name: topic, configEntries: [{ name: "segment.bytes", value }] }],
        });
      await refused("INVALID_CONFIG", replace("-1"));
      await replace("2097152");
      const after = await shown();
      assert.deepEqual([after["retention.ms"], after["segment.bytes"]], ["604800000", "2097152"]);
    },
  },
  {
    proves: "reassign list-reassignments",
    name: "a partition is assigned to where it is; nothing moves",
    async run(cluster) {
      const topic = await cluster.create("reassign");
      const { brokers } = await cluster.admin.describeCluster();
      const assign = (replicas) =>
        cluster.admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas }] }] });
      await assign([brokers[0].nodeId]);
      await refused("INVALID_REPLICA_ASSIGNMENT", assign([brokers[0].nodeId + 1]));
      const { topics } = await cluster.admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] });
      assert.deepEqual(topics, []);
    },
  },
  {
    proves: "acls",
    name: "ACLs are off",
    async run(cluster) {
      const { AclResourceTypes, ResourcePatternTypes, AclOperationTypes, AclPermissionTypes } = kafkajs;
      const acl = {
        resourceType: AclResourceTypes.TOPIC,
        resourceName: "a",
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: "User:one",
        host: "*",
        operation: AclOperationTypes.READ,
        permissionType: AclPermissionTypes.ALLOW,
      };
      await refused("SECURITY_DISABLED", cluster.admin.createAcls({ acl: [acl] }));
      await refused("SECURITY_DISABLED", cluster.admin.describeAcls(acl));
      await refused("SECURITY_DISABLED", cluster.admin.deleteAcls({ filters: [acl] }));
    },
  },
];

main(Cluster.connect, cases);
