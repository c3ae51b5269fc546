package main

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"corelog/compat/suite"
)

func (c *cluster) adminCases() []suite.Case {
	return []suite.Case{
		{"list-offsets", "offsets are listed by kind", c.listOffsets},
		{"delete-records", "records before an offset are deleted", c.deleteRecords},
		{"create", "the broker is described", c.describeCluster},
		{"describe-configs alter-configs incremental-configs", "a topic's configs are described, altered and replaced", c.topicConfigs},
		{"describe-configs", "a broker's configs are described", c.brokerConfigs},
		{"log-dirs", "log directories are described", c.logDirs},
		{"elect", "an election is not needed", c.elect},
		{"reassign list-reassignments", "a partition is assigned to where it is; nothing moves", c.reassign},
		{"acls", "ACLs are off", c.acls},
		{"quotas", "no quota is described", c.quotas},
		{"scram", "no credential is described", c.scram},
	}
}

func (c *cluster) broker() (int32, error) {
	brokers, controller, err := c.admin.DescribeCluster()
	if err != nil || len(brokers) != 1 {
		return 0, fmt.Errorf("brokers %v, %w", brokers, err)
	}
	return brokers[0].ID(), suite.Check(controller == brokers[0].ID(), "the controller is %d", controller)
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
	for spec, wanted := range map[int64]int64{sarama.OffsetOldest: 0, sarama.OffsetNewest: 5, t0 + 60: 2, t0 + 91: -1} {
		listed, err := c.admin.ListOffsets(map[string]map[int32]int64{topic: {0: spec}}, nil)
		if err != nil {
			return err
		}
		found := listed[topic][0]
		if !errors.Is(found.Err, sarama.ErrNoError) || found.Offset != wanted {
			return fmt.Errorf("%d: %d, not %d; %w", spec, found.Offset, wanted, found.Err)
		}
	}
	return nil
}

func (c *cluster) deleteRecords() error {
	topic, err := c.create("delete-records", 1, nil)
	if err != nil {
		return err
	}
	sent := suite.Keyed(100)
	if _, err := c.produce(topic, 0, sent); err != nil {
		return err
	}
	if err := c.admin.DeleteRecords(topic, map[int32]int64{0: 40}); err != nil {
		return err
	}
	read, err := c.read(topic, 0, sarama.OffsetOldest, 60)
	if err != nil {
		return err
	}
	return errors.Join(
		suite.Same(sent[40:], read, 40),
		// This client wraps the code in an error without a chain.
		suite.Check(c.admin.DeleteRecords(topic, map[int32]int64{0: 101}) != nil, "deleted beyond the end"),
	)
}

// This client's DescribeCluster is a Metadata request.
func (c *cluster) describeCluster() error {
	_, err := c.broker()
	return err
}

func (c *cluster) topicConfigs() error {
	topic, err := c.create("configs", 1, map[string]*string{"retention.ms": text("3600000")})
	if err != nil {
		return err
	}
	shows := func(key, wanted string) error {
		entries, err := c.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Name == key {
				return suite.Check(entry.Value == wanted, "%s is %s, not %s", key, entry.Value, wanted)
			}
		}
		return fmt.Errorf("there is no %s", key)
	}
	alter := func(value string) error {
		entry := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
		entries := map[string]sarama.IncrementalAlterConfigsEntry{"segment.bytes": entry}
		return c.admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false)
	}
	replace := func(value string, validateOnly bool) error {
		return c.admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"segment.bytes": &value}, validateOnly)
	}
	return errors.Join(
		shows("retention.ms", "3600000"),
		suite.Check(alter("-1") != nil, "a wrong value was taken"),
		alter("2097152"),
		shows("segment.bytes", "2097152"),
		shows("retention.ms", "3600000"),
		replace("4194304", true),
		shows("segment.bytes", "2097152"),
		replace("4194304", false),
		shows("segment.bytes", "4194304"),
		shows("retention.ms", "604800000"),
	)
}

func (c *cluster) brokerConfigs() error {
	id, err := c.broker()
	if err != nil {
		return err
	}
	resource := sarama.ConfigResource{Type: sarama.BrokerResource, Name: fmt.Sprint(id), ConfigNames: []string{"num.partitions"}}
	entries, err := c.admin.DescribeConfig(resource)
	if err != nil {
		return err
	}
	return suite.Check(len(entries) == 1 && entries[0].Name == "num.partitions", "%v", entries)
}

func (c *cluster) logDirs() error {
	topic, err := c.create("log-dirs", 1, nil)
	if err != nil {
		return err
	}
	if _, err := c.produce(topic, 0, suite.Keyed(100)); err != nil {
		return err
	}
	id, err := c.broker()
	if err != nil {
		return err
	}
	dirs, err := c.admin.DescribeLogDirs([]int32{id})
	if err != nil {
		return err
	}
	for _, dir := range dirs[id] {
		for _, of := range dir.Topics {
			if of.Topic == topic {
				return suite.Check(of.Partitions[0].Size > 0, "%s has no bytes", dir.Path)
			}
		}
	}
	return fmt.Errorf("the topic is in no directory of %v", dirs)
}

func (c *cluster) elect() error {
	topic, err := c.create("elect", 1, nil)
	if err != nil {
		return err
	}
	for _, kind := range []sarama.ElectionType{sarama.PreferredElection, sarama.UncleanElection} {
		answer, err := c.admin.ElectLeaders(kind, map[string][]int32{topic: {0}})
		if err != nil {
			return err
		}
		if code := answer[topic][0].ErrorCode; code != sarama.ErrElectionNotNeeded {
			return fmt.Errorf("%v, not %v", code, sarama.ErrElectionNotNeeded)
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
	listed, err := c.admin.ListPartitionReassignments(topic, []int32{0})
	return errors.Join(
		err,
		suite.Check(len(listed[topic]) == 0, "moving: %v", listed),
		c.admin.AlterPartitionReassignments(topic, [][]int32{{id}}),
		suite.Check(c.admin.AlterPartitionReassignments(topic, [][]int32{{id + 1}}) != nil, "moved to no broker"),
	)
}

func (c *cluster) acls() error {
	resource := sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: "a", ResourcePatternType: sarama.AclPatternLiteral}
	acl := sarama.Acl{Principal: "User:one", Host: "*", Operation: sarama.AclOperationRead, PermissionType: sarama.AclPermissionAllow}
	filter := sarama.AclFilter{
		ResourceType: sarama.AclResourceAny, ResourcePatternTypeFilter: sarama.AclPatternAny,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
	}
	_, listing := c.admin.ListAcls(filter)
	_, deleting := c.admin.DeleteACL(filter, false)
	return errors.Join(
		suite.Refused(listing, sarama.ErrSecurityDisabled),
		suite.Refused(deleting, sarama.ErrSecurityDisabled),
		suite.Refused(c.admin.CreateACL(resource, acl), sarama.ErrSecurityDisabled),
	)
}

func (c *cluster) quotas() error {
	described, err := c.admin.DescribeClientQuotas(nil, false)
	if err != nil {
		return err
	}
	return suite.Check(len(described) == 0, "%v", described)
}

func (c *cluster) scram() error {
	all, err := c.admin.DescribeUserScramCredentials(nil)
	if err != nil {
		return err
	}
	one, err := c.admin.DescribeUserScramCredentials([]string{"nobody"})
	if err != nil {
		return err
	}
	return errors.Join(
		suite.Check(len(all) == 0, "%v", all),
		suite.Check(len(one) == 1 && one[0].ErrorCode == 91, "%v", one), // RESOURCE_NOT_FOUND
	)
}
