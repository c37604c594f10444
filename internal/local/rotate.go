package local

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Rotation is a finished rotation.
type Rotation struct {
	// Began is when the new tasks were started, Serving when all of them were in service and the
	// old ones began to be deregistered, Ended when the last old one was gone.
	Began, Serving, Ended time.Time
	// Old and New are the addresses before and after.
	Old, New []netip.Addr
}

// Rotate replaces every task, as the package comment says, and returns when the old ones are gone.
// The error says why the new ones did not come into service. If ctx ends while they start, Rotate
// gives them up; later ctx has no effect.
func (f *Fleet) Rotate(ctx context.Context) (Rotation, error) {
	f.deploying.Lock()
	r := Rotation{Began: time.Now()}
	f.report(RotationBegan, nil, "")
	fresh, err := f.launchAll(ctx, f.o.Tasks)
	if err != nil {
		f.deploying.Unlock()
		f.report(RotationFailed, nil, err.Error())
		return r, fmt.Errorf("rotate: %w", err)
	}
	isNew := map[*task]bool{}
	for _, t := range fresh {
		isNew[t] = true
		r.New = append(r.New, t.address)
	}
	r.Serving = time.Now()
	var group sync.WaitGroup
	for _, t := range f.inService() {
		if !isNew[t] {
			r.Old = append(r.Old, t.address)
			group.Go(func() { f.retire(t) })
		}
	}
	f.deploying.Unlock()
	group.Wait()
	if err := f.ctx.Err(); err != nil {
		return r, fmt.Errorf("rotate: the fleet was closed: %w", err)
	}
	r.Ended = time.Now()
	f.report(RotationEnded, nil,
		fmt.Sprintf("%d addresses in %v", len(r.New), r.Ended.Sub(r.Began).Round(10*time.Millisecond)))
	return r, nil
}
