"""Object removal from video clips, with the background taken from other frames."""

from cleanplate.video.flicker import flicker
from cleanplate.video.reading import Clip, read_clip
from cleanplate.video.removing import VideoRemoval, check_video, remove_from_video
from cleanplate.video.reporting import describe_video, describe_video_settings

__all__ = [
    "Clip",
    "VideoRemoval",
    "check_video",
    "describe_video",
    "describe_video_settings",
    "flicker",
    "read_clip",
    "remove_from_video",
]
