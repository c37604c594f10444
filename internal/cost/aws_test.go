package cost

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"squidfleet/internal/operator/standin"
	"squidfleet/params"
)

func TestPricesFromAWS(t *testing.T) {
	server := standin.New()
	defer func() {
		server.Close()
		for _, problem := range server.Problems() {
			t.Error(problem)
		}
	}()
	cfg := aws.Config{
		Region: "eu-west-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider(standin.AccessKey, "x", ""),
	}
	got, err := FromAWS(t.Context(), cfg, "eu-west-1")
	want := Prices{
		Region: "eu-west-1", Source: "AWS's price list, published on 2026-01-02",
		VCPU: map[params.Architecture]float64{params.X8664: 0.04, params.ARM64: 0.03},
		GB:   map[params.Architecture]float64{params.X8664: 0.004, params.ARM64: 0.003},
		IPv4: 0.005, LoadBalancer: 0.02, LCU: 0.006, Zone: 0.01, Internet: 0.08, Log: 0.6, Metric: 0.3, Alarm: 0.1,
		Secret: 0.4,
		NAT:    0.05, RegionalNAT: 0.06, NATGB: 0.04, Instance: 0.005, Disk: 0.1,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	if _, err := FromAWS(t.Context(), cfg, "mx-central-1"); err == nil ||
		!strings.Contains(err.Error(), "AmazonECS for mx-central-1: no price of Fargate-vCPU-Hours:perCPU") {
		t.Errorf("a region without prices: %v", err)
	}
}

// Two prices for one thing are not chosen from.
func TestPricesThatDiffer(t *testing.T) {
	listed := func(usage, usd string) (p product) {
		p.Product.Attributes.UsageType = usage
		p.Terms.OnDemand = map[string]term{
			"term": {map[string]tier{"tier": {"0", map[string]string{"USD": usd}}}},
		}
		return p
	}
	w := want{usage: "LCUUsage"}
	if usd, err := w.find([]product{
		listed("LCUUsage", "0.0"), listed("EUC1-LCUUsage", "2.5"), listed("LCUUsage", "2.5"),
		listed("ReservedLCUUsage", "1"), listed("EU-TS-LCUUsage", "1"),
	}); err != nil || usd != 2.5 {
		t.Errorf("%v, %v", usd, err)
	}
	if _, err := w.find([]product{listed("LCUUsage", "2"), listed("LCUUsage", "3")}); err == nil {
		t.Error("2 and 3 are one price")
	}
}

// The first units may be free. Tiers come in any order.
func TestPriceOfTheFirstTierThatCosts(t *testing.T) {
	var p product
	p.Terms.OnDemand = map[string]term{"term": {map[string]tier{
		"a": {"0", map[string]string{"USD": "0.0"}}, "b": {"5", map[string]string{"USD": "0.3"}},
		"c": {"9", map[string]string{"USD": "0.2"}},
	}}}
	for range 50 {
		if usd := p.price(); usd != 0.3 {
			t.Fatalf("%v", usd)
		}
	}
}
