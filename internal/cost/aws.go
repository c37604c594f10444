package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"squidfleet/internal/operator"
	"squidfleet/params"
)

// listRegion is where AWS's price list is asked for every region's prices
// (https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html).
const listRegion = "us-east-1"

// question asks the price list for some prices of a service.
type question struct {
	service string
	// region is the attribute that names the region, filters are others.
	region  string
	filters map[string]string
	wants   []want
}

// want is a price. Usage is the usage type without the region's prefix.
type want struct {
	usage string
	store func(*Prices, float64)
}

var questions = []question{
	{"AmazonECS", "regionCode", nil, []want{
		{"Fargate-vCPU-Hours:perCPU", func(p *Prices, usd float64) { p.VCPU[params.X8664] = usd }},
		{"Fargate-ARM-vCPU-Hours:perCPU", func(p *Prices, usd float64) { p.VCPU[params.ARM64] = usd }},
		{"Fargate-GB-Hours", func(p *Prices, usd float64) { p.GB[params.X8664] = usd }},
		{"Fargate-ARM-GB-Hours", func(p *Prices, usd float64) { p.GB[params.ARM64] = usd }},
	}},
	{"AmazonVPC", "regionCode", nil, []want{
		{"PublicIPv4:InUseAddress", func(p *Prices, usd float64) { p.IPv4 = usd }},
	}},
	{"AWSELB", "regionCode", map[string]string{"operation": "LoadBalancing:Network"}, []want{
		{"LoadBalancerUsage", func(p *Prices, usd float64) { p.LoadBalancer = usd }},
		{"LCUUsage", func(p *Prices, usd float64) { p.LCU = usd }},
	}},
	{"AWSDataTransfer", "fromRegionCode", map[string]string{"transferType": "IntraRegion"}, []want{
		{"DataTransfer-Regional-Bytes", func(p *Prices, usd float64) { p.Zone = usd }},
	}},
	{"AWSDataTransfer", "fromRegionCode", map[string]string{"transferType": "AWS Outbound"}, []want{
		{"DataTransfer-Out-Bytes", func(p *Prices, usd float64) { p.Internet = usd }},
	}},
	{"AmazonCloudWatch", "regionCode", nil, []want{
		{"DataProcessing-Bytes", func(p *Prices, usd float64) { p.Log = usd }},
		{"CW:MetricMonitorUsage", func(p *Prices, usd float64) { p.Metric = usd }},
		{"CW:AlarmMonitorUsage", func(p *Prices, usd float64) { p.Alarm = usd }},
	}},
	{"AWSSecretsManager", "regionCode", nil, []want{
		{"AWSSecretsManager-Secrets", func(p *Prices, usd float64) { p.Secret = usd }},
	}},
	{"AmazonEC2", "regionCode", map[string]string{"productFamily": "NAT Gateway"}, []want{
		{"NatGateway-Hours", func(p *Prices, usd float64) { p.NAT = usd }},
		{"RegionalNatGateway-Hours", func(p *Prices, usd float64) { p.RegionalNAT = usd }},
		{"NatGateway-Bytes", func(p *Prices, usd float64) { p.NATGB = usd }},
	}},
	{"AmazonEC2", "regionCode", map[string]string{
		"instanceType": "t4g.nano", "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA",
		"capacitystatus": "Used",
	}, []want{
		{"BoxUsage:t4g.nano", func(p *Prices, usd float64) { p.Instance = usd }},
	}},
	{"AmazonEC2", "regionCode", map[string]string{"volumeApiName": "gp3"}, []want{
		{"EBS:VolumeUsage.gp3", func(p *Prices, usd float64) { p.Disk = usd }},
	}},
}

// FromAWS asks AWS for the prices of a region. A price that the list does not have, or that it has
// twice and differently, is an error.
func FromAWS(ctx context.Context, cfg aws.Config, region string) (Prices, error) {
	client := pricing.NewFromConfig(cfg, func(o *pricing.Options) { o.Region = listRegion })
	prices := Prices{
		Region: region, VCPU: map[params.Architecture]float64{}, GB: map[params.Architecture]float64{},
	}
	published := ""
	for _, q := range questions {
		products, err := q.ask(ctx, client, region)
		if err != nil {
			return Prices{}, err
		}
		for _, w := range q.wants {
			usd, err := w.find(products)
			if err != nil {
				return Prices{}, fmt.Errorf("AWS's price list of %s for %s: %w", q.service, region, err)
			}
			w.store(&prices, usd)
		}
		for _, each := range products {
			published = max(published, each.PublicationDate)
		}
	}
	if day := len("2026-01-02"); len(published) > day {
		published = published[:day]
	}
	prices.Source = "AWS's price list, published on " + published
	return prices, nil
}

// product is an element of PriceList, each of which is a JSON text.
type product struct {
	Product struct {
		Attributes struct{ UsageType string }
	}
	Terms           struct{ OnDemand map[string]term }
	PublicationDate string
}

type term struct{ PriceDimensions map[string]tier }

type tier struct {
	BeginRange   string
	PricePerUnit map[string]string
}

func (q question) ask(ctx context.Context, client *pricing.Client, region string) ([]product, error) {
	match := func(field, value string) types.Filter {
		return types.Filter{Field: &field, Value: &value, Type: types.FilterTypeTermMatch}
	}
	filters := []types.Filter{match(q.region, region)}
	for field, value := range q.filters {
		filters = append(filters, match(field, value))
	}
	texts, err := operator.Collect(ctx, pricing.NewGetProductsPaginator(client, &pricing.GetProductsInput{
		ServiceCode: &q.service, Filters: filters, FormatVersion: aws.String("aws_v1"),
	}), func(page *pricing.GetProductsOutput) []string { return page.PriceList })
	if err != nil {
		return nil, err
	}
	products := make([]product, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &products[i]); err != nil {
			return nil, fmt.Errorf("AWS's price list of %s is not as expected: %w", q.service, err)
		}
	}
	return products, nil
}

// regionPrefix is what a usage type begins with in most regions, such as EUC1.
var regionPrefix = regexp.MustCompile(`^[A-Z0-9]+-`)

// find returns the only price that is not zero.
func (w want) find(products []product) (float64, error) {
	found := 0.0
	for _, each := range products {
		if regionPrefix.ReplaceAllString(each.Product.Attributes.UsageType, "") != w.usage {
			continue
		}
		usd := each.price()
		if found > 0 && usd > 0 && usd != found {
			return 0, fmt.Errorf("%s costs %v and %v", w.usage, found, usd)
		}
		found = max(found, usd)
	}
	if found == 0 {
		return 0, fmt.Errorf("no price of %s", w.usage)
	}
	return found, nil
}

// price is that of the first tier that costs something, 0 if there is none in dollars.
func (p product) price() float64 {
	first, usd := 0.0, 0.0
	for _, term := range p.Terms.OnDemand {
		for _, tier := range term.PriceDimensions {
			begin, err := strconv.ParseFloat(tier.BeginRange, 64)
			price, err2 := strconv.ParseFloat(tier.PricePerUnit["USD"], 64)
			if err == nil && err2 == nil && price > 0 && (usd == 0 || begin < first) {
				first, usd = begin, price
			}
		}
	}
	return usd
}
