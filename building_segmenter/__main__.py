"""Run the command line: `python -m building_segmenter TASK`."""

from building_segmenter.cli import main

if __name__ == "__main__":
    main()
