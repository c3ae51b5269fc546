package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"corelog/compat/suite"
)

func (c *cluster) adminCases() []suite.Case {
	return []suite.Case{
		{"list-offsets", "offsets are listed by kind", c.listOffsets},
		{"describe-configs alter-configs incremental-configs", "a topic's configs are described, altered and replaced", c.topicConfigs},
		{"describe-configs", "a broker's configs are described", c.brokerConfigs},
		{"elect", "an election is not needed", c.elect},
		{"reassign list-reassignments", "a partition is assigned to where it is; nothing moves", c.reassign},
		{"features", "versions are told", c.versions},
		{"acls", "ACLs are off", c.acls},
		{"quotas", "no quota is described", c.quotas},
		{"scram", "no credential is described", c.scram},
	}
}

func (c *cluster) listOffsets() error {
	topic, err := c.create("list", 1)
	if err != nil {
		return err
	}
	for _, each := range suite.Stamped(50, 10, 90, 20, 40) {
		if _, err := c.produce(topic, 0, []suite.Record{each}, kafka.Writer{}); err != nil {
			return err
		}
	}
	listed, err := c.client.ListOffsets(c.ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.TimeOffsetOf(0, suite.T0.Add(60*time.Millisecond))},
	}})
	if err != nil {
		return err
	}
	found := listed.Topics[topic][0]
	_, timed := found.Offsets[2]
	return errors.Join(
		found.Error,
		suite.Check(found.FirstOffset == 0 && found.LastOffset == 5, "%d to %d", found.FirstOffset, found.LastOffset),
		suite.Check(timed, "by time: %v", found.Offsets),
	)
}

func (c *cluster) topicConfigs() error {
	topic, err := c.create("configs", 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "3600000"})
	if err != nil {
		return err
	}
	shows := func(key, wanted string) error {
		asked := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key}}
		described, err := c.client.DescribeConfigs(c.ctx, &kafka.DescribeConfigsRequest{
			Resources: []kafka.DescribeConfigRequestResource{asked}, IncludeSynonyms: true, IncludeDocumentation: true,
		})
		if err != nil {
			return err
		}
		entries := described.Resources[0].ConfigEntries
		return suite.Check(len(entries) == 1 && entries[0].ConfigValue == wanted, "%s is %v, not %s", key, entries, wanted)
	}
	alter := func(value string) error {
		answer, err := c.client.IncrementalAlterConfigs(c.ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafka.ResourceTypeTopic,
				ResourceName: topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{
					{Name: "segment.bytes", Value: value, ConfigOperation: kafka.ConfigOperationSet},
				},
			}},
		})
		if err != nil {
			return err
		}
		return answer.Resources[0].Error
	}
	replace := func() error {
		answer, err := c.client.AlterConfigs(c.ctx, &kafka.AlterConfigsRequest{Resources: []kafka.AlterConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic,
			ResourceName: topic,
			Configs:      []kafka.AlterConfigRequestConfig{{Name: "segment.bytes", Value: "4194304"}},
		}}})
		if err != nil {
			return err
		}
		return answer.Errors[kafka.AlterConfigsResponseResource{Type: int8(kafka.ResourceTypeTopic), Name: topic}]
	}
	return errors.Join(
		shows("retention.ms", "3600000"),
		suite.Refused(alter("-1"), kafka.InvalidConfiguration),
		alter("2097152"),
		shows("segment.bytes", "2097152"),
		shows("retention.ms", "3600000"),
		replace(),
		shows("segment.bytes", "4194304"),
		shows("retention.ms", "604800000"),
	)
}

func (c *cluster) broker() (int, error) {
	shown, err := c.client.Metadata(c.ctx, &kafka.MetadataRequest{})
	if err != nil || len(shown.Brokers) != 1 {
		return 0, fmt.Errorf("no broker or several: %w", err)
	}
	return shown.Brokers[0].ID, nil
}

func (c *cluster) brokerConfigs() error {
	id, err := c.broker()
	if err != nil {
		return err
	}
	asked := kafka.DescribeConfigRequestResource{
		ResourceType: kafka.ResourceTypeBroker, ResourceName: fmt.Sprint(id), ConfigNames: []string{"num.partitions"},
	}
	described, err := c.client.DescribeConfigs(c.ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{asked},
	})
	if err != nil {
		return err
	}
	return suite.Check(len(described.Resources[0].ConfigEntries) == 1, "%v", described.Resources)
}

func (c *cluster) elect() error {
	topic, err := c.create("elect", 1)
	if err != nil {
		return err
	}
	answer, err := c.client.ElectLeaders(c.ctx, &kafka.ElectLeadersRequest{Topic: topic, Partitions: []int{0}, Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	return suite.Refused(answer.PartitionResults[0].Error, kafka.ElectionNotNeeded)
}

func (c *cluster) reassign() error {
	topic, err := c.create("reassign", 1)
	if err != nil {
		return err
	}
	id, err := c.broker()
	if err != nil {
		return err
	}
	assign := func(brokers []int) error {
		answer, err := c.client.AlterPartitionReassignments(c.ctx, &kafka.AlterPartitionReassignmentsRequest{
			Topic:       topic,
			Assignments: []kafka.AlterPartitionReassignmentsRequestAssignment{{PartitionID: 0, BrokerIDs: brokers}},
			Timeout:     5 * time.Second,
		})
		if err != nil {
			return err
		}
		return errors.Join(answer.Error, answer.PartitionResults[0].Error)
	}
	listed, err := c.client.ListPartitionReassignments(c.ctx, &kafka.ListPartitionReassignmentsRequest{
		Topics:  map[string]kafka.ListPartitionReassignmentsRequestTopic{topic: {PartitionIndexes: []int{0}}},
		Timeout: 5 * time.Second,
	})
	if err != nil {
		return err
	}
	return errors.Join(
		listed.Error,
		suite.Check(len(listed.Topics) == 0, "moving: %v", listed.Topics),
		assign([]int{id}),
		suite.Refused(assign([]int{id + 1}), kafka.InvalidReplicaAssignment),
	)
}

func (c *cluster) versions() error {
	versions, err := c.client.ApiVersions(c.ctx, &kafka.ApiVersionsRequest{})
	if err != nil {
		return err
	}
	return errors.Join(versions.Error, suite.Check(len(versions.ApiKeys) > 20, "%v", versions.ApiKeys))
}

func (c *cluster) acls() error {
	entry := kafka.ACLEntry{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: "a", ResourcePatternType: kafka.PatternTypeLiteral,
		Principal: "User:one", Host: "*", Operation: kafka.ACLOperationTypeRead, PermissionType: kafka.ACLPermissionTypeAllow,
	}
	filter := kafka.ACLFilter{
		ResourceTypeFilter: kafka.ResourceTypeTopic, ResourceNameFilter: "a", ResourcePatternTypeFilter: kafka.PatternTypeLiteral,
		PrincipalFilter: "User:one", HostFilter: "*", Operation: kafka.ACLOperationTypeRead, PermissionType: kafka.ACLPermissionTypeAllow,
	}
	created, err := c.client.CreateACLs(c.ctx, &kafka.CreateACLsRequest{ACLs: []kafka.ACLEntry{entry}})
	if err != nil {
		return err
	}
	described, err := c.client.DescribeACLs(c.ctx, &kafka.DescribeACLsRequest{Filter: filter})
	if err != nil {
		return err
	}
	deleted, err := c.client.DeleteACLs(c.ctx, &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{kafka.DeleteACLsFilter(filter)}})
	if err != nil {
		return err
	}
	return errors.Join(
		suite.Refused(created.Errors[0], kafka.SecurityDisabled),
		suite.Refused(described.Error, kafka.SecurityDisabled),
		suite.Refused(deleted.Results[0].Error, kafka.SecurityDisabled),
	)
}

func (c *cluster) quotas() error {
	described, err := c.client.DescribeClientQuotas(c.ctx, &kafka.DescribeClientQuotasRequest{})
	if err != nil {
		return err
	}
	return errors.Join(described.Error, suite.Check(len(described.Entries) == 0, "%v", described.Entries))
}

func (c *cluster) scram() error {
	described, err := c.client.DescribeUserScramCredentials(c.ctx, &kafka.DescribeUserScramCredentialsRequest{})
	if err != nil {
		return err
	}
	return errors.Join(described.Error, suite.Check(len(described.Results) == 0, "%v", described.Results))
}
