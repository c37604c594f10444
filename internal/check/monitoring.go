package check

// asks: each saved query reads the fleet's log, and nothing else.
func asks(a *Assembly) *Finding {
	for _, t := range a.all(task) {
		log := []any{t.value(logs + "Options.awslogs-group")}
		if found := is(query, "LogGroupNames", log)(a); found != nil {
			return found
		}
	}
	if len(a.all(query)) == 0 {
		return a.template("there is no %s", query)
	}
	return nil
}
