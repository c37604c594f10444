package operator

import (
	"testing"
	"time"

	"squidfleet/internal/must"
)

func TestTrafficIsCountedUpToABound(t *testing.T) {
	f, aws := connect(t)
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	const line = `{"durationMs":9,"method":"GET","url":"http://shop.example/","status":200,"error":"-"}`
	for _, lines := range []int{mostCounted, mostCounted + 1} {
		aws.Flood(lines, func(i int) (string, time.Time) {
			return line, begin.Add(time.Duration(i) * time.Millisecond)
		})
		got, err := f.Traffic(t.Context(), begin)
		must.OK(t, err)
		if got.Requests != mostCounted || got.Complete != (lines == mostCounted) {
			t.Errorf("of %d lines: %+v", lines, got)
		}
		if last := begin.Add((mostCounted - 1) * time.Millisecond); !got.Complete && !got.To.Equal(last) {
			t.Errorf("counted until %v, want %v", got.To, last)
		}
	}
}
