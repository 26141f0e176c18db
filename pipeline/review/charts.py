"""All charts of a review page."""

from pipeline.review import data_charts, model_charts, vega
from pipeline.review.contents import Review


def draw(review: Review) -> dict[str, vega.Chart]:
    """All charts that the review has figures for, by key."""
    charts: list[vega.Chart] = []
    if review.overall:
        charts += [
            model_charts.slices(f"slices-{number}", group, review.overall)
            for number, group in enumerate(review.groups, start=1)
        ]
    if review.calibration:
        charts.append(model_charts.reliability(review.calibration))
        charts.append(model_charts.coverage(review.calibration, review.overall))
    if review.data:
        charts += data_charts.draw(review.data)
    if review.training and review.training.epochs:
        charts += model_charts.training(review.training)
    if any(run.accuracy is not None for run in review.history):
        charts.append(model_charts.history(review.history, review.run.run_id))
    return {chart.key: chart for chart in charts}
