"""Backward passes with abstracted spans side by side, against plain backpropagation, in one run.

On a CPU: two threads against one thread and against two cores inside every operation, for one, three and six
spans. With a GPU as well: a CUDA stream for each span, against one stream.

    python benchmarks/depth_parallel.py
"""

import statistics
import time

import torch
from torch.nn.functional import cross_entropy

from neurogain.abstraction import layers, parallel
from neurogain.thesis import chapter3_parallel

WIDTHS, SPANS, REPEATS = (64, 256, 512, 1024), (1, 3, 6), 5


def on_cores():
    for width in WIDTHS:
        for spans in SPANS:
            rows = chapter3_parallel.run_spans(
                chapter3_parallel.Spans(width=width, spans=spans, repeats=REPEATS)
            )
            times = {}
            for row in rows:
                if row["part"] == "backward":
                    times.setdefault(row["method"], []).append(1e3 * row["value"])
            one = statistics.median(times["plain, one thread"])
            for method, values in times.items():
                middle = statistics.median(values)
                print(
                    f"width {width:4}, {spans} spans  {method:22} {middle:7.2f} ms "
                    f"({min(values):.2f} to {max(values):.2f})  {one / middle:.2f} times as fast"
                )


def on_gpu():
    config = chapter3_parallel.Spans(width=2048, spans=6, samples=512)
    plain = chapter3_parallel.stack(config, config.spans).cuda()
    x, y = (part.cuda() for part in chapter3_parallel.batch(config))
    spans = [(number, number) for number in range(2, 2 + config.spans)]
    jumping = layers.abstract(plain, spans, chapter3_parallel.fixed(config).cuda())

    def seconds(net, streams):
        times = []
        for _ in range(REPEATS + 1):
            net.zero_grad()
            if streams:
                with parallel.streams(net):
                    loss = cross_entropy(net(x), y)
            else:
                loss = cross_entropy(net(x), y)
            torch.cuda.synchronize()
            start = time.perf_counter()
            loss.backward()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return 1e3 * statistics.median(times[1:])

    print(f"{torch.cuda.get_device_name()}, width {config.width}, {config.spans} spans")
    for name, net, streams in (
        ("plain", plain, False),
        ("abstracted", jumping, False),
        ("abstracted, streams", jumping, True),
    ):
        print(f"{name:22} {seconds(net, streams):7.2f} ms")


if __name__ == "__main__":
    on_cores()
    if torch.cuda.is_available():
        on_gpu()
    else:
        print("no CUDA device: the streams are not timed")
