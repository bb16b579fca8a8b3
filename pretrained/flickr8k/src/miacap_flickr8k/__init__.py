"""A captioner trained on Flickr8k. The folder `run` beside this file is a run folder of miacap."""
