package stacks

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"squidfleet/internal/doctest"
	"squidfleet/internal/logquery"
	"squidfleet/internal/must"
	"squidfleet/params"
)

const pictureWidth, pictureHeight = 320, 180

// TestThePictureOfTheDashboard draws the widgets with sample data: lines by a formula, and tables.
func TestThePictureOfTheDashboard(t *testing.T) {
	p, err := params.Parse(nil)
	must.OK(t, err)
	name := jsii.String("sample")
	widgets := figures{p: p, balancer: name, targets: name, failures: name}.widgets()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" `+
		`font-size="11"><rect width="100%%" height="100%%" fill="#f2f3f3"/>`+"\n",
		3*pictureWidth, (len(widgets)+2)/3*pictureHeight)
	for i, w := range widgets {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)"><rect x="4" y="4" width="%d" height="%d" fill="#fff" `+
			`stroke="#d5dbdb"/><text x="14" y="24" font-weight="bold">%s</text>`+"\n", i%3*pictureWidth,
			i/3*pictureHeight, pictureWidth-8, pictureHeight-8, w.title)
		if w.query == "" {
			drawLines(&b, w)
		} else {
			drawTable(t, &b, w.query)
		}
		fmt.Fprintln(&b, "</g>")
	}
	fmt.Fprintln(&b, "</svg>")
	doctest.File(t, "../docs/dashboard.svg", b.String())
}

func drawLines(b *strings.Builder, w widget) {
	labels := []string{"Service1", "Service2"}
	if w.search == "" {
		labels = nil
		for _, one := range w.figures {
			label := one.name
			if strings.HasPrefix(one.stat, "p") {
				label = one.stat
			}
			labels = append(labels, label)
		}
	}
	for i, label := range labels {
		colour := []string{"#1f77b4", "#ff7f0e", "#2ca02c"}[i]
		var points []string
		for x := 0; x <= 288; x += 12 {
			y := 110 - 20*i - int(25*math.Sin(float64(x)/(40+float64(10*i))))
			points = append(points, fmt.Sprintf("%d,%d", x+14, y))
		}
		if strings.HasPrefix(label, "UnHealthy") || w.title == "Rotations that failed" {
			points = []string{"14,140", "302,140"}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s"/><text x="%d" y="162" fill="%s">%s</text>`+"\n",
			strings.Join(points, " "), colour, 14+i*290/len(labels), colour, label)
	}
}

// samples are the tables of the widgets' queries: some columns, and rows.
var samples = map[string][][]string{
	"RequestsByStatus": {{"status", "requests"}, {"200", "192"}, {"503", "8"}},
	"TopUsers": {
		{"user", "requests", "received"},
		{"alice", "86", "8585000"}, {"bob", "57", "5629000"}, {"carol", "57", "5686000"},
	},
	"TopDestinations": {
		{"host", "requests", "received"},
		{"shop0.example:443", "80", "7960000"}, {"shop1.example:443", "40", "3940000"},
		{"shop2.example:443", "40", "3980000"}, {"shop3.example:443", "40", "4020000"},
	},
	"FailuresByDestination": {{"host", "status", "failures"}, {"shop0.example:443", "503", "8"}},
}

func drawTable(t *testing.T, b *strings.Builder, id string) {
	query := logquery.Queries[slices.IndexFunc(logquery.Queries, func(q logquery.Query) bool { return q.ID == id })]
	for i, c := range samples[id][0] {
		if !strings.Contains(query.Text, c) {
			t.Errorf("%s has no column %s", id, c)
		}
		x := 14
		if i > 0 {
			x += 60 + 75*i
		}
		fmt.Fprintf(b, `<text x="%d" y="46" fill="#687078">%s</text>`, x, c)
		for j, row := range samples[id][1:] {
			fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`, x, 64+18*j, row[i])
		}
		fmt.Fprintln(b)
	}
}
