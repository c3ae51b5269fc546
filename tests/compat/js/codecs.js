// The codecs that KafkaJS leaves to others; gzip is its own.
"use strict";

const { CompressionCodecs, CompressionTypes } = require("kafkajs");
const snappy = require("kafkajs-snappy");
const lz4 = require("lz4js");
const xxh32 = require("lz4js/xxh32");
const { ZstdCodec } = require("zstd-codec");

const zstd = new Promise((resolve) => ZstdCodec.run((made) => resolve(new made.Simple())));

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  async compress(encoder) {
    const frame = Buffer.from(lz4.compress(encoder.buffer));
    // Kafka takes only frames that say that their blocks are independent; these are, and do not say so.
    frame[4] |= 0x20;
    frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff;
    return frame;
  },
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
});

module.exports = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};
