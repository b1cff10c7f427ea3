"""Predict a video: frames in, and a video with denoised frames, their labels and its sound out.

``source`` reads a file, a camera or a stream, and ``live`` keeps up with one that does not wait.
``temporal`` averages frames over time, ``drawing`` averages labels and writes them into a frame,
and ``writing`` encodes. One frame at a time goes through; the memory does not grow with the length
of the video.
"""

from tapetum.runtime.video.run import VideoSummary, predict_video

__all__ = ["VideoSummary", "predict_video"]
