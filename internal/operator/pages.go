package operator

import "context"

// pager is one of the SDK's paginators.
type pager[Page, Options any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*Options)) (Page, error)
}

// Collect returns what the pages of a list hold.
func Collect[Page, Options, T any](
	ctx context.Context, pages pager[Page, Options], list func(Page) []T,
) (all []T, err error) {
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, list(page)...)
	}
	return all, nil
}
