package standin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// product is one in the price list. Its attributes are those that the questions filter by.
type product struct {
	service, usage string
	attributes     properties
	tiers          []string // the price of each, from the first unit on
}

// priceList has products as AWS's list has them, at prices of its own. Some are not asked for:
// they differ from those that are in one attribute, or in the usage type alone. Usage types have
// Ireland's prefix.
var priceList = []product{
	{"AmazonECS", "EU-Fargate-vCPU-Hours:perCPU", nil, []string{"0.04"}},
	{"AmazonECS", "EU-Fargate-Windows-vCPU-Hours:perCPU", nil, []string{"0.09"}},
	{"AmazonECS", "EU-Fargate-GB-Hours", nil, []string{"0.004"}},
	{"AmazonECS", "EU-Fargate-EphemeralStorage-GB-Hours", nil, []string{"0.0001"}},
	{"AmazonECS", "EU-Fargate-ARM-vCPU-Hours:perCPU", nil, []string{"0.03"}},
	{"AmazonECS", "EU-Fargate-ARM-GB-Hours", nil, []string{"0.003"}},
	{"AmazonVPC", "EU-PublicIPv4:InUseAddress", nil, []string{"0.005"}},
	{"AmazonVPC", "EU-PublicIPv4:ContiguousBlock", nil, []string{"0.008"}},
	{"AWSELB", "EU-LoadBalancerUsage", properties{"operation": "LoadBalancing:Application"}, []string{"0.03"}},
	{"AWSELB", "EU-LoadBalancerUsage", network, []string{"0.02"}},
	{"AWSELB", "EU-LCUUsage", network, []string{"0.006"}},
	{"AWSDataTransfer", "EU-DataTransfer-Regional-Bytes",
		properties{"transferType": "IntraRegion", "operation": "LoadBalancing"}, []string{"0.00"}},
	{"AWSDataTransfer", "EU-DataTransfer-Regional-Bytes", properties{"transferType": "IntraRegion"}, []string{"0.01"}},
	{"AWSDataTransfer", "EU-DataTransfer-Out-Bytes", properties{"transferType": "AWS Outbound"},
		[]string{"0.00", "0.08", "0.07"}},
	{"AWSDataTransfer", "EU-USE1-AWS-Out-Bytes", properties{"transferType": "InterRegion Outbound"}, []string{"0.02"}},
	{"AmazonCloudWatch", "EU-DataProcessing-Bytes", nil, []string{"0.60"}},
	{"AmazonCloudWatch", "EU-DataProcessingIA-Bytes", nil, []string{"0.30"}},
	{"AmazonCloudWatch", "EU-CW:MetricMonitorUsage", nil, []string{"0.30", "0.10"}},
	{"AmazonCloudWatch", "EU-CW:AlarmMonitorUsage", nil, []string{"0.10"}},
	{"AmazonCloudWatch", "EU-CW:HighResAlarmMonitorUsage", nil, []string{"0.30"}},
	{"AWSSecretsManager", "EU-AWSSecretsManager-Secrets", nil, []string{"0.40"}},
	{"AmazonEC2", "EU-NatGateway-Hours", natGateway, []string{"0.05"}},
	{"AmazonEC2", "EU-RegionalNatGateway-Hours", natGateway, []string{"0.06"}},
	{"AmazonEC2", "EU-NatGateway-Bytes", natGateway, []string{"0.04"}},
	{"AmazonEC2", "EU-BoxUsage:t4g.nano", nano("Linux"), []string{"0.005"}},
	{"AmazonEC2", "EU-BoxUsage:t4g.nano", nano("SUSE"), []string{"0.015"}},
	{"AmazonEC2", "EU-EBS:VolumeUsage.gp3", properties{"volumeApiName": "gp3"}, []string{"0.10"}},
	{"AmazonEC2", "EU-EBS:VolumeUsage.gp2", properties{"volumeApiName": "gp2"}, []string{"0.20"}},
}

var (
	natGateway = properties{"productFamily": "NAT Gateway"}
	network    = properties{"operation": "LoadBalancing:Network"}
)

func nano(system string) properties {
	return properties{
		"instanceType": "t4g.nano", "operatingSystem": system, "tenancy": "Shared", "preInstalledSw": "NA",
		"capacitystatus": "Used",
	}
}

// products are a service's, with Ireland's prices alone, each a text that holds JSON
// (https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html).
func (a *AWS) products(r *request) (found []any, err error) {
	filters, _ := r.Input["Filters"].([]any)
	for _, p := range priceList {
		if p.service != r.Text("ServiceCode") || slices.Contains(a.model.lists["no-price"], p.usage) {
			continue
		}
		attributes := properties{"usagetype": p.usage, "regionCode": "eu-west-1"}
		if p.service == "AWSDataTransfer" {
			attributes = properties{"usagetype": p.usage, "fromRegionCode": "eu-west-1"}
		}
		maps.Copy(attributes, p.attributes)
		if !slices.ContainsFunc(filters, func(filter any) bool { return !matches(filter.(object), attributes) }) {
			found = append(found, p.text(attributes))
		}
	}
	return found, nil
}

func matches(filter object, attributes properties) bool {
	return filter["Type"] == "TERM_MATCH" && attributes[fmt.Sprint(filter["Field"])] == filter["Value"]
}

func (p product) text(attributes properties) string {
	tiers := object{}
	for i, usd := range p.tiers {
		tiers[fmt.Sprint("tier", i)] = object{
			"beginRange": fmt.Sprint(10240 * i), "pricePerUnit": object{"USD": usd},
		}
	}
	reserved := object{"beginRange": "0", "pricePerUnit": object{"USD": "0.0010000000"}}
	text, _ := json.Marshal(object{ // texts, and maps of them
		"product": object{"attributes": attributes},
		"terms": object{
			"OnDemand": object{"term": object{"priceDimensions": tiers}},
			"Reserved": object{"term": object{"priceDimensions": object{"tier": reserved}}},
		},
		"publicationDate": "2026-01-02T03:04:05Z",
	})
	return string(text)
}
