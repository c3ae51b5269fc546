package main

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"corelog/compat/suite"
)

func (c *cluster) adminCases() []suite.Case {
	return []suite.Case{
		{"list-offsets", "offsets are listed by kind", c.listOffsets},
		{"delete-records", "records before an offset are deleted", c.deleteRecords},
		{"describe-configs alter-configs incremental-configs", "a topic's configs are described, altered and replaced", c.topicConfigs},
		{"describe-configs", "a broker's configs are described", c.brokerConfigs},
		{"list-configs", "the resources that have configs are listed", c.configResources},
		{"log-dirs move-replica", "log directories are described, and a replica stays in its own", c.logDirs},
		{"elect", "an election is not needed", c.elect},
		{"reassign list-reassignments", "a partition is assigned to where it is; nothing moves", c.reassign},
		{"features", "versions and features are told", c.features},
		{"acls", "ACLs are off", c.acls},
		{"quotas", "no quota is described", c.quotas},
		{"scram", "no credential is described", c.scram},
	}
}

// withRecords makes a topic of one partition with records.
func (c *cluster) withRecords(topic string, sent []suite.Record) (string, error) {
	made, err := c.create(topic, 1, nil)
	if err != nil {
		return "", err
	}
	_, err = c.produce(made, 0, sent)
	return made, err
}

// onlyPartition is a set of partition 0 of a topic.
func onlyPartition(topic string) kadm.TopicsSet {
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	return set
}

func (c *cluster) listOffsets() error {
	topic, err := c.create("list", 1, nil)
	if err != nil {
		return err
	}
	for _, each := range suite.Stamped(50, 10, 90, 20, 40) {
		if _, err := c.produce(topic, 0, []suite.Record{each}); err != nil {
			return err
		}
	}
	t0 := suite.T0.UnixMilli()
	for _, each := range []struct {
		kind   string
		list   func() (kadm.ListedOffsets, error)
		wanted int64
	}{
		{"start", func() (kadm.ListedOffsets, error) { return c.admin.ListStartOffsets(c.ctx, topic) }, 0},
		{"end", func() (kadm.ListedOffsets, error) { return c.admin.ListEndOffsets(c.ctx, topic) }, 5},
		{"local start", func() (kadm.ListedOffsets, error) { return c.admin.ListLocalLogStartOffsets(c.ctx, topic) }, 0},
		{"highest timestamp", func() (kadm.ListedOffsets, error) { return c.admin.ListMaxTimestampOffsets(c.ctx, topic) }, 2},
		{"timestamp", func() (kadm.ListedOffsets, error) { return c.admin.ListOffsetsAfterMilli(c.ctx, t0+60, topic) }, 2},
		// For a time after the last record this client gives the end.
		{"late timestamp", func() (kadm.ListedOffsets, error) { return c.admin.ListOffsetsAfterMilli(c.ctx, t0+91, topic) }, 5},
	} {
		listed, err := each.list()
		if err := errors.Join(err, listed.Error()); err != nil {
			return fmt.Errorf("%s: %w", each.kind, err)
		}
		if found, _ := listed.Lookup(topic, 0); found.Offset != each.wanted {
			return fmt.Errorf("%s: %d, not %d", each.kind, found.Offset, each.wanted)
		}
	}
	return nil
}

func (c *cluster) deleteRecords() error {
	topic, err := c.withRecords("delete-records", suite.Keyed(100))
	if err != nil {
		return err
	}
	ask := func(offset int64) (kadm.DeleteRecordsResponse, error) {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, offset, -1)
		answer, err := c.admin.DeleteRecords(c.ctx, offsets)
		return answer[topic][0], errors.Join(err, answer[topic][0].Err)
	}
	done, err := ask(40)
	if err != nil || done.LowWatermark != 40 {
		return fmt.Errorf("%v, %w", done, err)
	}
	listed, err := c.admin.ListStartOffsets(c.ctx, topic)
	if err != nil || listed[topic][0].Offset != 40 {
		return fmt.Errorf("the start is %v, %w", listed, err)
	}
	_, err = ask(101)
	return suite.Refused(err, kerr.OffsetOutOfRange)
}

func (c *cluster) topicConfigs() error {
	topic, err := c.create("configs", 1, map[string]*string{"retention.ms": kadm.StringPtr("3600000")})
	if err != nil {
		return err
	}
	shows := func(key, wanted string) error {
		all, err := c.admin.DescribeTopicConfigs(c.ctx, topic)
		if err != nil {
			return err
		}
		of, err := all.On(topic, nil)
		if err := errors.Join(err, of.Err); err != nil {
			return err
		}
		for _, config := range of.Configs {
			if config.Key == key {
				return suite.Check(config.MaybeValue() == wanted, "%s is %s, not %s", key, config.MaybeValue(), wanted)
			}
		}
		return fmt.Errorf("there is no %s", key)
	}
	set := func(alter func() (kadm.AlterConfigsResponses, error)) error {
		answers, err := alter()
		for _, each := range answers {
			err = errors.Join(err, each.Err)
		}
		return err
	}
	altered := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.bytes", Value: kadm.StringPtr("2097152")}}
	wrong := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.bytes", Value: kadm.StringPtr("-1")}}
	err = set(func() (kadm.AlterConfigsResponses, error) { return c.admin.AlterTopicConfigs(c.ctx, wrong, topic) })
	if err := suite.Refused(err, kerr.InvalidConfig); err != nil {
		return err
	}
	return errors.Join(
		shows("retention.ms", "3600000"),
		set(func() (kadm.AlterConfigsResponses, error) { return c.admin.AlterTopicConfigs(c.ctx, altered, topic) }),
		shows("segment.bytes", "2097152"),
		shows("retention.ms", "3600000"),
		set(func() (kadm.AlterConfigsResponses, error) {
			return c.admin.AlterTopicConfigsState(c.ctx, altered, topic)
		}),
		shows("segment.bytes", "2097152"),
		shows("retention.ms", "604800000"),
	)
}

func (c *cluster) broker() (int32, error) {
	brokers, err := c.admin.ListBrokers(c.ctx)
	if err != nil || len(brokers) != 1 {
		return 0, fmt.Errorf("brokers %v, %w", brokers, err)
	}
	return brokers[0].NodeID, nil
}

func (c *cluster) brokerConfigs() error {
	id, err := c.broker()
	if err != nil {
		return err
	}
	all, err := c.admin.DescribeBrokerConfigs(c.ctx, id)
	if err != nil {
		return err
	}
	for _, config := range all[0].Configs {
		if config.Key == "num.partitions" {
			return nil
		}
	}
	return fmt.Errorf("no num.partitions among %d configs: %v", len(all[0].Configs), all[0].Err)
}

func (c *cluster) configResources() error {
	topic, err := c.create("listed", 1, nil)
	if err != nil {
		return err
	}
	listed, err := c.admin.ListConfigResources(c.ctx, kadm.ConfigResourceTopic)
	if err := errors.Join(err, listed.Err); err != nil {
		return err
	}
	for _, resource := range listed.Resources {
		if resource.Name == topic {
			return nil
		}
	}
	return fmt.Errorf("%s is not among %v", topic, listed.Names())
}

func (c *cluster) logDirs() error {
	topic, err := c.withRecords("log-dirs", suite.Keyed(100))
	if err != nil {
		return err
	}
	id, err := c.broker()
	if err != nil {
		return err
	}
	dirs, err := c.admin.DescribeBrokerLogDirs(c.ctx, id, nil)
	if err := errors.Join(err, dirs.Error()); err != nil {
		return err
	}
	found, there := dirs.LookupPartition(topic, 0)
	if !there || found.Size == 0 {
		return fmt.Errorf("the partition is shown as %v", found)
	}
	move := func(dir string) error {
		ask := kadm.AlterReplicaLogDirsReq{}
		ask.Add(dir, onlyPartition(topic))
		answer, err := c.admin.AlterBrokerReplicaLogDirs(c.ctx, id, ask)
		for _, each := range answer.Sorted() {
			err = errors.Join(err, each.Err)
		}
		return err
	}
	if err := move(found.Dir); err != nil {
		return err
	}
	return suite.Refused(move("/no/such/dir"), kerr.LogDirNotFound)
}

func (c *cluster) elect() error {
	topic, err := c.create("elect", 1, nil)
	if err != nil {
		return err
	}
	for _, how := range []kadm.ElectLeadersHow{kadm.ElectPreferredReplica, kadm.ElectLiveReplica} {
		answer, err := c.admin.ElectLeaders(c.ctx, how, onlyPartition(topic))
		if err != nil {
			return err
		}
		if err := suite.Refused(answer[topic][0].Err, kerr.ElectionNotNeeded); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) reassign() error {
	topic, err := c.create("reassign", 1, nil)
	if err != nil {
		return err
	}
	id, err := c.broker()
	if err != nil {
		return err
	}
	alter := func(ask kadm.AlterPartitionAssignmentsReq) error {
		answer, err := c.admin.AlterPartitionAssignments(c.ctx, ask)
		return errors.Join(err, answer.Error())
	}
	same, away, cancel := kadm.AlterPartitionAssignmentsReq{}, kadm.AlterPartitionAssignmentsReq{}, kadm.AlterPartitionAssignmentsReq{}
	same.Assign(topic, 0, []int32{id})
	away.Assign(topic, 0, []int32{id + 1})
	cancel.CancelAssign(topic, 0)
	listed, err := c.admin.ListPartitionReassignments(c.ctx, onlyPartition(topic))
	return errors.Join(
		alter(same),
		suite.Refused(alter(away), kerr.InvalidReplicaAssignment),
		suite.Refused(alter(cancel), kerr.NoReassignmentInProgress),
		err,
		suite.Check(len(listed.Sorted()) == 0, "moving: %v", listed),
	)
}

func (c *cluster) features() error {
	versions, err := c.admin.ApiVersions(c.ctx)
	if err != nil {
		return err
	}
	for _, of := range versions.Sorted() {
		if of.Err != nil {
			return of.Err
		}
		for _, feature := range of.Raw().FinalizedFeatures {
			if feature.Name == "metadata.version" {
				return nil
			}
		}
	}
	return errors.New("metadata.version is not told")
}

func (c *cluster) acls() error {
	some := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Topics("a").ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpRead).Allow("User:one").AllowHosts("*")
	}
	described, err := c.admin.DescribeACLs(c.ctx, some())
	if err != nil {
		return err
	}
	created, err := c.admin.CreateACLs(c.ctx, some())
	if err != nil {
		return err
	}
	deleted, err := c.admin.DeleteACLs(c.ctx, some())
	if err != nil {
		return err
	}
	return errors.Join(
		suite.Refused(described[0].Err, kerr.SecurityDisabled),
		suite.Refused(created[0].Err, kerr.SecurityDisabled),
		suite.Refused(deleted[0].Err, kerr.SecurityDisabled),
	)
}

func (c *cluster) quotas() error {
	described, err := c.admin.DescribeClientQuotas(c.ctx, false, nil)
	if err != nil {
		return err
	}
	return suite.Check(len(described) == 0, "%v", described)
}

func (c *cluster) scram() error {
	all, err := c.admin.DescribeUserSCRAMs(c.ctx)
	if err != nil {
		return err
	}
	one, err := c.admin.DescribeUserSCRAMs(c.ctx, "nobody")
	if err != nil {
		return err
	}
	return errors.Join(
		suite.Check(len(all) == 0, "%v", all),
		suite.Refused(one["nobody"].Err, kerr.ResourceNotFound),
	)
}
