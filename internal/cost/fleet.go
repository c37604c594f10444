package cost

import (
	"fmt"
	"math"

	"squidfleet/internal/capacity"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Traffic is what goes through a fleet in a month.
type Traffic struct {
	// GB is what the load balancer passes on, in both directions.
	GB float64 `json:"gb"`
	// InternetGB is what of it AWS sends to the internet: answers to clients outside AWS, and what
	// is uploaded to destinations.
	InternetGB float64 `json:"internetGB"`
	// Requests are the lines in the log. Each is taken for a connection of its own.
	Requests float64 `json:"requests"`
	// Peak is how many times its mean of the hours in service the traffic is at its peak.
	Peak float64 `json:"peak"`
	// Tunnels is how many are open at a time, at the peak.
	Tunnels float64 `json:"tunnels"`
}

// ExampleTraffic is what the documents reckon with, and squidfleet cost without other figures.
var ExampleTraffic = Traffic{GB: 100, InternetGB: 100, Requests: 1e6, Peak: 5}

// Item is a part of the monthly cost. Cost is Quantity times Price.
type Item struct {
	Name     string  `json:"name"`
	Quantity float64 `json:"quantity"`
	Unit     string  `json:"unit"`
	Price    float64 `json:"price"`
	Cost     float64 `json:"cost"`
}

// Estimate is what a fleet costs a month. The names of its JSON are stable.
type Estimate struct {
	Region  string  `json:"region"`
	Source  string  `json:"source"`
	Hours   float64 `json:"hours"`
	Traffic Traffic `json:"traffic"`
	Items   []Item  `json:"items"`
	Total   float64 `json:"total"`
	// PerAddress is the total by the number of egress addresses.
	PerAddress float64 `json:"perAddress"`
	// Comparison has this fleet first.
	Comparison []Way `json:"comparison"`
	Load       Load  `json:"load"`
}

// A capacity unit of a load balancer is each of these
// (https://aws.amazon.com/elasticloadbalancing/pricing/), whichever gives most. The third, 100,000
// connections at a time (with TLS 3,000), is left out: few fleets have as many.
const (
	unitConnections    = 800 // new ones a second
	unitTLSConnections = 50  // the same of TLS listeners
	unitGB             = 1   // an hour
)

// lineBytes is what a request is assumed to be in the log: a line with a URL of 60 characters and
// a browser's name, and 26 bytes that CloudWatch Logs adds.
const lineBytes = 500

// loadBalancerZones is how many zones the load balancer has an address in.
const loadBalancerZones = 2

// OfFleet computes what a fleet costs. Cents are left out: the image in ECR, the calls of
// EventBridge Scheduler and Secrets Manager, and what the log takes in the archive. Certificates
// cost nothing, and a PrivateLink endpoint is paid by whoever makes it.
func (prices Prices) OfFleet(p *params.Params, t Traffic) Estimate {
	e := prices.estimate(p, t)
	e.Comparison = prices.compare(p, t)
	e.Load = prices.load(p, t, capacity.Recorded())
	return e
}

// estimate is OfFleet without what it is compared with.
func (prices Prices) estimate(p *params.Params, t Traffic) Estimate {
	e := Estimate{Region: prices.Region, Source: prices.Source, Hours: month.Hours(), Traffic: t}
	add := func(name string, quantity float64, unit string, price float64) {
		if quantity > 0 {
			e.Items = append(e.Items, Item{name, quantity, unit, price, quantity * price})
		}
	}
	size, spot, hours := float64(p.FleetSize), float64(p.SpotAddresses()), activeHours(p)
	onDemandHours, spotHours := (size-spot)*hours, spot*hours
	name := "tasks, " + string(p.Architecture)
	add(name, onDemandHours, "h", prices.task(p, false))
	add(name+", Spot", spotHours, "h", prices.task(p, true))
	add("addresses of the tasks", size*hours, "h", prices.IPv4)
	tasks := onDemandHours*prices.task(p, false) + spotHours*prices.task(p, true)
	add("overlap of rotations", size*hours*overlapShare(p), "h", tasks/(size*hours)+prices.IPv4)

	perUnit := float64(unitConnections)
	if p.TLS() {
		perUnit = unitTLSConnections
	}
	connections := t.Requests / month.Seconds() / perUnit
	add("load balancer", month.Hours(), "h", prices.LoadBalancer)
	if p.Endpoint != params.EndpointInternal {
		add("addresses of the load balancer", loadBalancerZones*month.Hours(), "h", prices.IPv4)
	}
	add("units of the load balancer", max(connections*month.Hours(), t.GB/unitGB), "LCU-h", prices.LCU)
	// Half of the traffic changes zones between load balancer and task, and is paid at both ends.
	add("between zones", t.GB/2*2, "GB", prices.Zone)
	add("to the internet", t.InternetGB, "GB", prices.Internet)

	add("log", t.Requests*lineBytes/1e9, "GB", prices.Log)
	add("secrets", secrets(p), "secrets", prices.Secret)
	metrics, alarms := monitoring(p)
	add("metrics", metrics, "metrics", prices.Metric)
	add("alarms", alarms, "metrics", prices.Alarm)

	for _, item := range e.Items {
		e.Total += item.Cost
	}
	e.PerAddress = e.Total / size
	return e
}

// secrets is how many there are: one a user, and one for the key of the nonces if there are any.
func secrets(p *params.Params) float64 {
	n := 0
	if p.Credentials == container.CredentialsSecretsManager {
		n += len(p.Users)
	}
	if p.Auth.Nonces(p.Digest) {
		n++
	}
	return float64(n)
}

// monitoring is how many metrics of its own a fleet has, and how many metrics its alarms watch.
func monitoring(p *params.Params) (metrics, alarms float64) {
	if p.Metrics {
		metrics = 5
	}
	if !p.Alarms() {
		return metrics, 0
	}
	metrics, alarms = metrics+2, 5
	for _, more := range []bool{p.ActiveHours.Days != nil, p.RotateEvery > 0 || p.ActiveHours.Days != nil} {
		if more {
			alarms++
		}
	}
	if p.Auth.Passwords() && p.Digest == squid.DigestFleet {
		metrics, alarms = metrics+1, alarms+1
	}
	if p.Metrics {
		alarms += 2
	}
	return metrics, alarms
}

// Amount writes the quantity with its unit.
func (i Item) Amount() string {
	if i.Quantity == math.Trunc(i.Quantity) || i.Quantity >= 100 {
		return fmt.Sprintf("%.0f %s", i.Quantity, i.Unit)
	}
	return fmt.Sprintf("%.3g %s", i.Quantity, i.Unit)
}

// UnitPrice writes the price in dollars.
func (i Item) UnitPrice() string { return fmt.Sprintf("$%.4g", i.Price) }
