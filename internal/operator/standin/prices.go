package standin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// product is one in the price list. Its attributes are those that the questions filter by.
type product struct {
	service, family, usage string
	attributes             properties
	tiers                  []string // the price of each, from the first unit on
}

// priceList has products as AWS's list has them, at prices of its own. Some are not asked for:
// they differ from those that are in one attribute, or in the usage type alone. Usage types have
// Ireland's prefix.
var priceList = []product{
	{"AmazonECS", "Compute", "EU-Fargate-vCPU-Hours:perCPU", nil, []string{"0.0400000000"}},
	{"AmazonECS", "Compute", "EU-Fargate-Windows-vCPU-Hours:perCPU", nil, []string{"0.0900000000"}},
	{"AmazonECS", "Compute", "EU-Fargate-GB-Hours", nil, []string{"0.0040000000"}},
	{"AmazonECS", "Compute", "EU-Fargate-EphemeralStorage-GB-Hours", nil, []string{"0.0001000000"}},
	{"AmazonECS", "Compute", "EU-Fargate-ARM-vCPU-Hours:perCPU", nil, []string{"0.0300000000"}},
	{"AmazonECS", "Compute", "EU-Fargate-ARM-GB-Hours", nil, []string{"0.0030000000"}},
	{"AmazonVPC", "", "EU-PublicIPv4:InUseAddress", nil, []string{"0.0050000000"}},
	{"AmazonVPC", "", "EU-PublicIPv4:ContiguousBlock", nil, []string{"0.0080000000"}},
	{"AWSELB", "Load Balancer-Application", "EU-LoadBalancerUsage",
		properties{"operation": "LoadBalancing:Application"}, []string{"0.0300000000"}},
	{"AWSELB", "Load Balancer-Network", "EU-LoadBalancerUsage", properties{"operation": "LoadBalancing:Network"},
		[]string{"0.0200000000"}},
	{"AWSELB", "Load Balancer-Network", "EU-LCUUsage", properties{"operation": "LoadBalancing:Network"},
		[]string{"0.0060000000"}},
	{"AWSDataTransfer", "Data Transfer", "EU-DataTransfer-Regional-Bytes",
		properties{"transferType": "IntraRegion", "operation": "LoadBalancing"}, []string{"0.0000000000"}},
	{"AWSDataTransfer", "Data Transfer", "EU-DataTransfer-Regional-Bytes", properties{"transferType": "IntraRegion"},
		[]string{"0.0100000000"}},
	{"AWSDataTransfer", "Data Transfer", "EU-DataTransfer-Out-Bytes", properties{"transferType": "AWS Outbound"},
		[]string{"0.0000000000", "0.0800000000", "0.0700000000"}},
	{"AWSDataTransfer", "Data Transfer", "EU-USE1-AWS-Out-Bytes", properties{"transferType": "InterRegion Outbound"},
		[]string{"0.0200000000"}},
	{"AmazonCloudWatch", "Data Payload", "EU-DataProcessing-Bytes", nil, []string{"0.6000000000"}},
	{"AmazonCloudWatch", "Data Payload", "EU-DataProcessingIA-Bytes", nil, []string{"0.3000000000"}},
	{"AmazonCloudWatch", "Metric", "EU-CW:MetricMonitorUsage", nil, []string{"0.3000000000", "0.1000000000"}},
	{"AmazonCloudWatch", "Alarm", "EU-CW:AlarmMonitorUsage", nil, []string{"0.1000000000"}},
	{"AmazonCloudWatch", "Alarm", "EU-CW:HighResAlarmMonitorUsage", nil, []string{"0.3000000000"}},
	{"AWSSecretsManager", "Secret", "EU-AWSSecretsManager-Secrets", nil, []string{"0.4000000000"}},
	{"AmazonEC2", "NAT Gateway", "EU-NatGateway-Hours", nil, []string{"0.0500000000"}},
	{"AmazonEC2", "NAT Gateway", "EU-RegionalNatGateway-Hours", nil, []string{"0.0600000000"}},
	{"AmazonEC2", "NAT Gateway", "EU-NatGateway-Bytes", nil, []string{"0.0400000000"}},
	{"AmazonEC2", "Compute Instance", "EU-BoxUsage:t4g.nano", nano("Linux"), []string{"0.0050000000"}},
	{"AmazonEC2", "Compute Instance", "EU-BoxUsage:t4g.nano", nano("SUSE"), []string{"0.0150000000"}},
	{"AmazonEC2", "Storage", "EU-EBS:VolumeUsage.gp3", properties{"volumeApiName": "gp3"}, []string{"0.1000000000"}},
	{"AmazonEC2", "Storage", "EU-EBS:VolumeUsage.gp2", properties{"volumeApiName": "gp2"}, []string{"0.2000000000"}},
}

func nano(system string) properties {
	return properties{
		"instanceType": "t4g.nano", "operatingSystem": system, "tenancy": "Shared", "preInstalledSw": "NA",
		"capacitystatus": "Used",
	}
}

// getProducts answers with Ireland's prices alone. PriceList is a list of texts that hold JSON
// (https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html).
func (a *AWS) getProducts(r *request) (any, error) {
	filters, _ := r.Input["Filters"].([]any)
	var found []string
	for i, p := range priceList {
		if p.service != r.Text("ServiceCode") || slices.Contains(a.model.lists["no-price"], p.usage) {
			continue
		}
		attributes := properties{
			"productFamily": p.family, "usagetype": p.usage, "regionCode": "eu-west-1", "fromRegionCode": "eu-west-1",
		}
		maps.Copy(attributes, p.attributes)
		if p.service == "AWSDataTransfer" {
			delete(attributes, "regionCode")
		} else {
			delete(attributes, "fromRegionCode")
		}
		if all, err := matches(filters, attributes); err != nil {
			return nil, err
		} else if all {
			found = append(found, p.text(fmt.Sprintf("SKU%d", i), attributes))
		}
	}
	return inJSON(a, r, "NextToken", "PriceList", found)
}

func matches(filters []any, attributes properties) (bool, error) {
	for _, each := range filters {
		filter, _ := each.(map[string]any)
		if filter["Type"] != "TERM_MATCH" {
			return false, refuse("InvalidParameterException", "Filter type %v", filter["Type"])
		}
		if attributes[fmt.Sprint(filter["Field"])] != filter["Value"] {
			return false, nil
		}
	}
	return true, nil
}

func (p product) text(sku string, attributes properties) string {
	family := attributes["productFamily"]
	delete(attributes, "productFamily")
	tiers := object{}
	for i, usd := range p.tiers {
		tiers[fmt.Sprintf("%s.JRTCKXETXF.%d", sku, i)] = object{
			"unit": "Hrs", "beginRange": fmt.Sprint(10240 * i), "endRange": "Inf", "pricePerUnit": object{"USD": usd},
		}
	}
	text, _ := json.Marshal(object{ // texts, and maps of them
		"product":     object{"productFamily": family, "attributes": attributes, "sku": sku},
		"serviceCode": p.service,
		"terms": object{
			"OnDemand": object{sku + ".JRTCKXETXF": object{"sku": sku, "priceDimensions": tiers}},
			"Reserved": object{sku + ".38NPMPTW36": object{"priceDimensions": object{"1": object{
				"beginRange": "0", "pricePerUnit": object{"USD": "0.0010000000"},
			}}}},
		},
		"publicationDate": "2026-01-02T03:04:05Z",
	})
	return string(text)
}
