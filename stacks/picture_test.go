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

// TestThePictureOfTheDashboard draws the widgets with sample data: lines by a formula, and tables
// by the widgets' own queries over a made-up log.
func TestThePictureOfTheDashboard(t *testing.T) {
	p, err := params.Parse(nil)
	must.OK(t, err)
	var log []string
	for i := range 200 {
		status, reason := 200, "-"
		if i%25 == 0 {
			status, reason = 503, "ERR_CONNECT_FAIL"
		}
		log = append(log, fmt.Sprintf(`{"user":"%s","url":"shop%d.example:443","status":%d,"error":"%s",`+
			`"errorDetail":"-","destination":"198.51.100.80","durationMs":%d,"bytesFromClient":900,`+
			`"bytesToClient":%d,"egress":"192.0.2.%d"}`,
			[]string{"alice", "bob", "carol"}[i%7%3], i%5%4, status, reason, i, 1000*i, i%2))
	}
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
			drawTable(t, &b, w.query, log)
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

func drawTable(t *testing.T, b *strings.Builder, id string, log []string) {
	query := logquery.Queries[slices.IndexFunc(logquery.Queries, func(q logquery.Query) bool { return q.ID == id })]
	rows, err := logquery.Run(query.Text, logquery.Read(log))
	if err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d rows, %v", id, len(rows), err)
	}
	columns := []string{"user", "host", "status", "requests", "failures", "received"}
	columns = slices.DeleteFunc(columns, func(c string) bool { return rows[0][c] == nil })
	for i, c := range columns {
		x := 14
		if i > 0 {
			x += 60 + 75*i
		}
		fmt.Fprintf(b, `<text x="%d" y="46" fill="#687078">%s</text>`, x, c)
		for j, row := range rows[:min(6, len(rows))] {
			cell := row[c]
			if number, ok := cell.(float64); ok {
				cell = int(number)
			}
			fmt.Fprintf(b, `<text x="%d" y="%d">%v</text>`, x, 64+18*j, cell)
		}
		fmt.Fprintln(b)
	}
}
